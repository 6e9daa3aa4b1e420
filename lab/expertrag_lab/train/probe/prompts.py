"""Prompts with and without the answer among their passages, built by search.

A probe is trained on prompts as they are served: the passages of a search, best first, with or
without the answer. Several questions are asked about the same passages, which are read once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from expertrag_lab.data.datasets import Dataset, Query, load_dataset
from expertrag_lab.data.named_sets import TRAIN, Data
from expertrag_lab.train.probe.recipe import ProbeRecipe
from expertrag_lab.train.reader.answers import Answered, holding
from expertrag_lab.train.reader.material import Questions, check_names, read_questions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from expertrag_retriever.types import Passage

Item = TypeVar("Item")

_SEARCHED = 10  # passages per search, before those that hold the answer may be removed
_COMPARED = 300  # questions among which the most similar ones are looked up
_RARE = 4  # fewest letters of a word that counts for similarity


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question and its passages; ``lacking``: no passage holds the answer.

    ``group`` identifies the passages: prompts with the same group share a prefix.
    """

    question: str
    passages: tuple[Passage, ...]
    lacking: bool
    group: str


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """The prompts of a data set; ``sha256`` covers its questions and judgements."""

    name: str
    licence: str
    sha256: str
    train: tuple[Prompt, ...]
    dev: tuple[Prompt, ...]


def probe_sets(
    data: Data, recipe: ProbeRecipe, licences: Mapping[str, str], most_searches: Mapping[str, int]
) -> list[ProbeSet]:
    """Read the train splits of data sets.

    :param licences: by the name of the data set.
    :param most_searches: overrides of the recipe's, by the name of the data set; the key "" is
        ignored.
    :raises ExpertRAGError: a data set is missing or damaged, has no train split, or shares its name
        with another one; or a licence or override names none of them.
    """
    check_names(data, licence=licences, searches=most_searches)
    return [
        _probe_set(path, recipe, licences, most_searches.get(path.name, recipe.most_searches))
        for paths in data.values()
        for path in paths
    ]


def _probe_set(
    folder: Path, recipe: ProbeRecipe, licences: Mapping[str, str], most_searches: int
) -> ProbeSet:
    dataset = load_dataset(folder, TRAIN)
    rng = random.Random(f"{recipe.seed} {dataset.name}")
    asked = read_questions(dataset, recipe.words, rng)
    parts = [
        tuple(_Sheets(asked.part(dev=dev), recipe, rng).prompts(most))
        for dev, most in ((False, most_searches), (True, recipe.dev_searches))
    ]
    return ProbeSet(dataset.name, licences.get(dataset.name, "not stated"), dataset.sha256, *parts)


class _Sheets:
    """Makes the prompts of one part (train or dev) of a data set; ``rng`` is used for all draws."""

    def __init__(self, asked: Questions, recipe: ProbeRecipe, rng: random.Random) -> None:
        self._asked = asked
        self._recipe = recipe
        self._rng = rng
        self._about: dict[str, list[Answered]] = {}
        for item in asked.answerable:
            self._about.setdefault(item.evidence[0].document_id, []).append(item)
        self._near: dict[str, list[Query]] = {}
        for query in asked.unanswerable:
            self._near.setdefault(str(query.metadata.get("near_doc")), []).append(query)

    def prompts(self, most: int) -> Iterator[Prompt]:
        """Make the prompts of at most ``most`` searches."""
        pairs = zip_longest(self._asked.answerable, self._asked.unanswerable)
        firsts = (item for pair in pairs for item in pair if item is not None)
        left_out = False
        for first in islice(firsts, most):
            if not isinstance(first, Answered):
                yield from self._group(first, self._search(first))
                continue
            passages = self._search(first.query)
            yield from self._group(first.query, self._with_answer(passages, first), first)
            left_out = not left_out
            if left_out:
                others = [passage for passage in passages if not _tells(passage, first, self._data)]
                yield from self._group(first.query, others, first)

    @property
    def _data(self) -> Dataset:
        return self._asked.dataset

    def _search(self, query: Query) -> list[Passage]:
        return self._asked.passages.search(query.text, _SEARCHED)

    def _with_answer(self, passages: list[Passage], item: Answered) -> list[Passage]:
        """Insert the answering passages that the search missed among the passages found."""
        most = max(self._recipe.passages)
        missing = [passage for passage in item.cited if passage not in passages[:most]]
        with_answer = [passage for passage in passages if passage not in missing]
        for passage in missing:
            with_answer.insert(self._rng.randrange(most), passage)
        return with_answer

    def _group(
        self, query: Query, passages: Sequence[Passage], item: Answered | None = None
    ) -> Iterator[Prompt]:
        """Ask a question, and others, about the first passages that were found."""
        shown = tuple(passages[: self._rng.choice(self._recipe.passages)])
        if not shown:
            return
        group = f"{self._data.name} {[(passage.document_id, passage.start) for passage in shown]}"
        documents = list(dict.fromkeys(passage.document_id for passage in shown))
        answered = [other for name in documents for other in self._about.get(name, ())]
        tempting = [other for name in documents for other in self._near.get(name, ())]
        about = _some(self._rng, answered, self._recipe.answered)
        asked = [
            *((item,) if item else ()),
            *(other for other in about if other is not item),
            *self._elsewhere(query, documents),
        ]
        if item is None:
            yield Prompt(query.text, shown, True, group)
        for other in asked:
            lacking = _lacking(shown, other, self._data)
            if lacking is not None:
                yield Prompt(other.query.text, shown, lacking, group)
        for near in _some(self._rng, tempting, self._recipe.tempted):
            if near.id != query.id:
                yield Prompt(near.text, shown, True, group)

    def _elsewhere(self, query: Query, documents: Sequence[str]) -> list[Answered]:
        """Find the questions most similar to ``query`` that are about other documents."""
        own = _words(query.text)
        others = [
            item
            for item in _some(self._rng, self._asked.answerable, _COMPARED)
            if not {passage.document_id for passage in item.cited} & set(documents)
        ]
        others.sort(key=lambda item: -len(own & _words(item.query.text)))
        return others[: self._recipe.elsewhere]


def _some(rng: random.Random, items: Sequence[Item], most: int) -> list[Item]:
    return rng.sample(items, min(most, len(items)))


def _lacking(shown: Sequence[Passage], item: Answered, dataset: Dataset) -> bool | None:
    """Whether the passages lack the answer to a question; None if that is unknown."""
    if all(passage in shown for passage in item.cited):
        return False
    return None if any(_tells(passage, item, dataset) for passage in shown) else True


def _tells(passage: Passage, item: Answered, dataset: Dataset) -> bool:
    """Whether a passage may answer a question, or help to answer it."""
    judged = dataset.relevant(item.query.id)
    return passage.document_id in judged or bool(holding(passage, item.held_by))


def _words(text: str) -> set[str]:
    return {word for word in text.lower().split() if len(word) >= _RARE}
