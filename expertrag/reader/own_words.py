"""Replies of the base model itself, where a data set answers with a sentence.

A base that reads well explains better than a sentence copied from a passage, and learning from
what it says itself keeps that (self-distillation, Yang et al. 2024, arXiv:2402.13669). Short
answers, verdicts and abstentions are learned as the data sets have them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from expertrag.eval.resume import appending, read_results
from expertrag.prompt import Reply
from expertrag.reader.answers import MOST_WORDS, supported
from expertrag.reader.examples import Example, Material
from expertrag.reader.network import ReaderNetwork, Told
from expertrag_index.types import Progress
from expertrag_retriever.experts.settings import GENERAL

UNSUPPORTED = "sentence that the base does not say"

_MOST_TOKENS = 2 * MOST_WORDS
_BATCH = 8


def in_own_words(
    materials: Sequence[Material], network: ReaderNetwork, kept: Path, progress: Progress
) -> list[Material]:
    """Replace the sentences that examples reply with by what the base says to the same prompt.

    An example is dropped where the base's reply does not end, or a cited passage does not hold
    most of its words.

    :param network: the base, before any training.
    :param kept: file of what was said; a killed run goes on there.
    """
    asked = {_key(item): item for some in materials for item in some.examples if _sentence(item)}
    with appending(kept) as file:
        said = read_results(kept, lambda item: (item["key"], item["reply"]))
        missing = [key for key in asked if key not in said]
        for start in range(0, len(missing), _BATCH):
            progress("reader: asking the base", start, len(missing))
            some = missing[start : start + _BATCH]
            prompts = [replace(asked[key], strict=False) for key in some]
            for key, told in zip(some, network.answer(prompts, GENERAL, _MOST_TOKENS), strict=True):
                said[key] = _usable(asked[key], told)
                file.write(json.dumps({"key": key, "reply": said[key]}) + "\n")
            file.flush()
    return [_said(item, said) for item in materials]


def _said(material: Material, said: dict[str, str]) -> Material:
    examples = tuple(_replied(material, said))
    lost = len(material.examples) - len(examples)
    return replace(material, examples=examples, dropped={**material.dropped, UNSUPPORTED: lost})


def _replied(material: Material, said: dict[str, str]) -> Iterator[Example]:
    for item in material.examples:
        if not _sentence(item):
            yield item
        elif answer := said[_key(item)]:
            yield replace(item, reply=Reply(answer, item.reply.cited))


def _usable(asked: Example, told: Told) -> str:
    """Return the answer to learn; empty if it is none."""
    answer = " ".join(told.reply.answer.split())
    cited = [asked.passages[number - 1] for number in asked.reply.cited]
    held = any(supported(answer, passage) for passage in cited)
    return answer if told.ended and told.reply.found and held else ""


def _sentence(example: Example) -> bool:
    return example.reply.found and not example.accepted


def _key(example: Example) -> str:
    return json.dumps([example.source, example.question, [p.text for p in example.passages]])
