"""Retrieved prompts: questions with passages and right answers, as rows, and as they are served.

A row is ``{"question", "passages", "answer"}``, optionally ``accepted``, ``cited``, ``domain`` and
``id``; see :class:`RetrievedPrompt`. A passage is a text, or ``{"title", "text"}``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Passage
from expertrag.llm.base import Generator, Message
from expertrag.llm.prompt import ABSTAINS, FAMILIES, Family, Reply, open_book
from expertrag_lab.json_lines import find_file, is_string_list, read_lines
from expertrag_lab.metrics.squad import substring

_NEEDED = ("question", "passages", "answer")
_FORM = (
    'a row is {"question": TEXT, "passages": [TEXT, …], "answer": TEXT}, with an answer of null '
    "where the passages hold none"
)


@dataclass(frozen=True, slots=True)
class RetrievedPrompt:
    """A question with its passages, best first, and its right reply.

    :param answer: None if the passages hold none.
    :param accepted: answers that are right, ``answer`` among them.
    :param cited: numbers of the passages that say so, from 1.
    :param domain: whose expert answers, of models that have one for a domain; may be empty.
    """

    id: str
    question: str
    passages: tuple[Passage, ...]
    answer: str | None
    accepted: tuple[str, ...] = ()
    cited: tuple[int, ...] = ()
    domain: str = ""

    @property
    def reply(self) -> Reply:
        """The right reply, as a reader writes it."""
        return ABSTAINS if self.answer is None else Reply(self.answer, self.cited)


@dataclass(frozen=True, slots=True)
class PromptForm:
    """How prompts and right replies are written: as the model before is served.

    :param trained: whether the model was trained on replies of a reader.
    """

    family: Family
    trained: bool

    @classmethod
    def of(cls, generator: Generator) -> PromptForm:
        """Return the form of a model's prompts."""
        family, model = FAMILIES[generator.family], generator.white_box
        return cls(family, bool(model and model.reader) and not family.replies)

    def messages(self, prompt: RetrievedPrompt) -> list[Message]:
        """Return the prompt, as it is served."""
        return open_book(prompt.question, prompt.passages, family=self.family)

    def right(self, prompt: RetrievedPrompt) -> str | None:
        """Return the text of the right reply; None of a plain model that cannot abstain."""
        if self.trained:
            return prompt.reply.text
        begun = " " if self.family.beginning(prompt.question) else ""
        return None if prompt.answer is None else f"{begun}{prompt.answer}"


def read_prompts(path: Path, most: int | None = None, seed: int = 0) -> tuple[RetrievedPrompt, ...]:
    """Read a file of rows, or draw some of them.

    :param most: rows at most, drawn with ``seed``; None: all.
    :raises NotFound: there is no such file.
    :raises InvalidArgument: a row is not as above, or there is none.
    """
    items, _ = read_lines(find_file(path))
    if most is not None and most < len(items):
        kept = sorted(random.Random(seed).sample(range(len(items)), most))
        items = [items[place] for place in kept]
    prompts = []
    for number, item in items:
        try:
            prompts.append(parse_prompt(item, f"line {number}"))
        except ValueError as error:
            raise InvalidArgument(f"{path} line {number}: {error}; {_FORM}") from None
    if not prompts:
        raise InvalidArgument(f"{path} has no rows; {_FORM}")
    return tuple(prompts)


def parse_prompt(item: Mapping[str, Any], name: str) -> RetrievedPrompt:
    """Parse a row.

    Without ``cited``, the passages that contain an accepted answer are cited, as in the training
    of readers.

    :param name: its id, if it has none.
    :raises ValueError: a field is missing or wrong; the message names it.
    """
    if missing := [field for field in _NEEDED if field not in item]:
        raise ValueError(f"{missing[0]} is missing")
    question, answer = item["question"], item["answer"]
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question is not a text")
    if not (answer is None or (isinstance(answer, str) and answer.strip())):
        raise ValueError("answer is neither a text nor null")
    row = str(item.get("id") or item.get("_id") or name)
    passages = _passages(item["passages"], row)
    others = item.get("accepted") or []
    if not is_string_list(others):
        raise ValueError("accepted is not a list of texts")
    accepted = () if answer is None else tuple(dict.fromkeys((answer, *others)))
    holding = (n for n, passage in enumerate(passages, 1) if substring(passage.text, accepted))
    cited = tuple(item["cited"]) if item.get("cited") is not None else tuple(holding)
    if answer is None:
        cited = ()
    if not all(isinstance(n, int) and 1 <= n <= len(passages) for n in cited):
        raise ValueError(f"cited has a number that is not of one of its {len(passages)} passages")
    domain = str(item.get("domain") or "")
    return RetrievedPrompt(row, question, passages, answer, accepted, cited, domain)


def _passages(items: object, row: str) -> tuple[Passage, ...]:
    if not isinstance(items, list):
        raise ValueError("passages is not a list of passages")
    if not items:
        raise ValueError("passages is empty")
    return tuple(_passage(item, row, place) for place, item in enumerate(items))


def _passage(item: object, row: str, place: int) -> Passage:
    fields: Mapping[str, Any] = {"text": item} if isinstance(item, str) else _mapping(item)
    text, title = fields.get("text"), fields.get("title") or ""
    if not isinstance(text, str) or not text.strip() or not isinstance(title, str):
        raise ValueError(f"passage {place + 1} has no text")
    return Passage(f"{row}, passage {place + 1}", place, text, 0, len(text), 1.0, title=title)


def _mapping(item: object) -> Mapping[str, Any]:
    return item if isinstance(item, Mapping) else {}
