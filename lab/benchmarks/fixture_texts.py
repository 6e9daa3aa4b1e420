"""Texts of ``fixture_moe.py``: a tokenizer, and rows of tokens of every domain.

Half of the rows of a domain with short answers are prompts as a reader gets them, with shorter
passages. All rows to train on are of train splits. Held-out rows are of test splits: documents that
no train question is about, and test questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from expertrag.llm.load.chat import ChatTokenizer
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import load_dataset, sample
from expertrag_lab.data.domain_texts import domain_texts
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.data.pair_files import is_pair_file
from expertrag_lab.train.reader.answers import Answered, find_answer
from expertrag_lab.train.reader.examples import ReaderExample
from expertrag_lab.train.reader.material import material
from expertrag_lab.train.reader.passages import Passages
from expertrag_lab.train.reader.prompt_groups import PromptGroups
from expertrag_lab.train.reader.recipe import ReaderRecipe

TEXTS: Mapping[str, tuple[str, ...]] = {
    "biomedicine": ("bioasq", "medquad", "pubmedqa"),
    "encyclopedia": ("squad2", "hotpotqa", "popqa"),
    "finance": ("fiqa_small", "tatqa", "pairs/banking77.jsonl.gz"),
    "legal": ("policyqa",),
    "science": ("scifact",),
    "technical": ("cosqa", "pydocs", "pairs/tldr.jsonl.gz"),
}
"""Data sets of the texts of each domain."""
PROMPTS: Mapping[str, tuple[str, ...]] = {
    "biomedicine": ("bioasq", "pubmedqa"),
    "encyclopedia": ("squad2", "hotpotqa", "popqa"),
    "finance": ("tatqa",),
    "legal": ("policyqa",),
}
"""Data sets of the prompts of each domain, with short answers."""
ROW_TOKENS = 512
ANSWER_WEIGHT = 4
"""Weight of the tokens of a reply in the loss; other tokens have 1, padding 0."""
RECIPE = ReaderRecipe(passages=2, words=60, questions=1, most_epochs=1, unanswered=0.1, tempted=0.1)
_TURN, _END = "<|turn|>", "<|end|>"
_TEMPLATE = (
    "{% for message in messages %}" + _TURN + "{{ message['role'] }}\n{{ message['content'] }}"
    + _END + "\n{% endfor %}{% if add_generation_prompt %}" + _TURN + "assistant\n{% endif %}"
)  # fmt: skip
_LONGEST = 4000  # characters of a text
_SEED = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one domain and kind: tokens (R, L) int64, and their weights (R, L) uint8."""

    tokens: torch.Tensor
    weights: torch.Tensor


RowSets = dict[str, Rows]
"""Rows by "DOMAIN text" and "DOMAIN prompts"."""


def texts_of(data: Path, split: str, most: int) -> dict[str, list[str]]:
    """Draw texts of every domain, in random order; pair files have no test split."""
    named = {
        domain: [data / name for name in names if split == TRAIN or not is_pair_file(data / name)]
        for domain, names in TEXTS.items()
    }
    drawn = domain_texts(named, split, most, _SEED)
    for texts in drawn.values():
        random.Random(_SEED).shuffle(texts)
    return {domain: [text[:_LONGEST] for text in texts] for domain, texts in drawn.items()}


def new_tokenizer(texts: Iterable[str], words: int) -> Any:
    """Train a byte-level BPE tokenizer (Sennrich et al. 2016) with a chat template."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=words,
            special_tokens=[_END, _TURN],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    wrapped: Any = PreTrainedTokenizerFast  # without annotations in transformers
    return wrapped(
        tokenizer_object=made,
        eos_token=_END,
        pad_token=_END,
        additional_special_tokens=[_TURN],
        chat_template=_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def train_prompts(data: Path, most: int, progress: Progress) -> dict[str, list[ReaderExample]]:
    """Make prompts of train splits, at most so many of a data set."""
    recipe = replace(RECIPE, most_examples=most, dev_questions=0)
    return {
        domain: [
            example
            for name in _each(names, f"prompts of {domain}", progress)
            for example in material(data / name, domain, recipe).examples
        ]
        for domain, names in PROMPTS.items()
    }


def dev_prompts(data: Path, most: int, progress: Progress) -> dict[str, list[ReaderExample]]:
    """Make prompts that no training sees, of train splits: a share of their documents."""
    recipe = replace(RECIPE, most_examples=1, dev_questions=most)
    return {
        domain: [
            example
            for name in _each(names, f"dev prompts of {domain}", progress)
            for example in material(data / name, domain, recipe).dev.among
        ]
        for domain, names in PROMPTS.items()
    }


def test_prompts(data: Path, most: int, progress: Progress) -> dict[str, list[ReaderExample]]:
    """Make prompts of test splits, at most so many of a data set."""
    return {
        domain: [
            example
            for name in _each(names, f"test prompts of {domain}", progress)
            for example in _tested(data / name, domain, most)
        ]
        for domain, names in PROMPTS.items()
    }


def _tested(folder: Path, domain: str, most: int) -> Sequence[ReaderExample]:
    dataset, rng = load_dataset(folder), random.Random(_SEED)
    passages = Passages(dataset.documents(), RECIPE.words)
    asked = [query for query in dataset.judged if query.answers]
    found = (find_answer(query, dataset, passages, rng) for query in sample(asked, None, _SEED))
    usable: list[Answered] = []
    for item in found:
        if len(usable) == most:
            break
        if not isinstance(item, str):
            usable.append(item)
    return PromptGroups(dataset, domain, RECIPE, passages, rng).dev(usable, ()).among


def _each(names: Sequence[str], stage: str, progress: Progress) -> Iterator[str]:
    for done, name in enumerate(names):
        progress(stage, done, len(names))
        yield name
    progress(stage, len(names), len(names))


def rows_of(
    texts: Mapping[str, Sequence[str]],
    prompts: Mapping[str, Sequence[ReaderExample]],
    tokenizer: Any,
) -> RowSets:
    """Return the rows of texts and prompts; prompts that do not fit into a row are left out."""
    end, found = tokenizer.eos_token_id, {}
    for domain, some in texts.items():
        found[f"{domain} text"] = text_rows(tokenizer(list(some)).input_ids, end)
    chat = ChatTokenizer(tokenizer)
    for domain, examples in prompts.items():
        pairs = [encoded(item, chat, end) for item in examples]
        found[f"{domain} prompts"] = prompt_rows(pairs, end)
    return found


def text_rows(texts: Iterable[Sequence[int]], end: int) -> Rows:
    """Cut texts, one after the other, into rows; every text ends with the token ``end``."""
    stream = [token for text in texts for token in (*text, end)]
    count = len(stream) // ROW_TOKENS
    tokens = torch.tensor(stream[: count * ROW_TOKENS]).view(count, ROW_TOKENS)
    return Rows(tokens, torch.ones_like(tokens, dtype=torch.uint8))


def encoded(example: ReaderExample, chat: ChatTokenizer, end: int) -> tuple[list[int], list[int]]:
    """Return the tokens of a prompt, as served, and of its reply."""
    return chat.encode(example.messages), [*chat.encode_text(example.reply.text), end]


def prompt_rows(pairs: Iterable[tuple[list[int], list[int]]], end: int) -> Rows:
    """Fill rows with whole prompts and their replies, one after the other, and pad the rest."""
    tokens: list[list[int]] = []
    weights: list[list[int]] = []
    for asked, reply in pairs:
        if len(asked) + len(reply) > ROW_TOKENS:
            continue
        if not tokens or len(tokens[-1]) + len(asked) + len(reply) > ROW_TOKENS:
            tokens.append([])
            weights.append([])
        tokens[-1] += [*asked, *reply]
        weights[-1] += [1] * len(asked) + [ANSWER_WEIGHT] * len(reply)
    for row, weight in zip(tokens, weights, strict=True):
        row += [end] * (ROW_TOKENS - len(row))
        weight += [0] * (ROW_TOKENS - len(weight))
    shape = len(tokens), ROW_TOKENS
    return Rows(
        torch.tensor(tokens).view(shape), torch.tensor(weights, dtype=torch.uint8).view(shape)
    )
