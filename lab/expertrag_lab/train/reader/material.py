"""Make reading examples from data sets, with or without the gold passage among distractors.

Only the train split is read. A share of its documents, and the questions about them, is held out as
dev.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.datasets import Dataset, Query, load_dataset
from expertrag_lab.data.named_sets import TRAIN, Data
from expertrag_lab.data.qrels import splits
from expertrag_lab.embedder.types import normalize
from expertrag_lab.train.reader.answers import ASKED, Answered, find_answer
from expertrag_lab.train.reader.examples import ReaderMaterial
from expertrag_lab.train.reader.passages import Passages
from expertrag_lab.train.reader.prompt_groups import PromptGroups

if TYPE_CHECKING:
    from expertrag_lab.train.reader.recipe import ReaderRecipe

_DEV_SHARE = 10  # percent of the documents


def materials(
    data: Data,
    recipe: ReaderRecipe,
    licences: Mapping[str, str],
    most_examples: Mapping[str, int] = MappingProxyType({}),
) -> list[ReaderMaterial]:
    """Read the data sets of every domain.

    :param licences: by the name of the data set.
    :param most_examples: overrides of the recipe's, by the name of the data set; the key "" is
        ignored.
    :raises ExpertRAGError: a data set is missing or damaged, has no train split, or shares its name
        with another one; or a licence or override names none of them.
    """
    check_names(data, licence=licences, examples=most_examples)
    named = [(domain, path) for domain, paths in data.items() for path in paths]
    result = [
        material(
            path,
            domain,
            replace(recipe, most_examples=most_examples.get(path.name, recipe.most_examples)),
        )
        for domain, path in named
    ]
    return [replace(item, licence=licences.get(item.name, item.licence)) for item in result]


def check_names(data: Data, **options: Mapping[str, Any]) -> None:
    """Check that the names of data sets are unique, and that options name only these sets.

    :raises InvalidArgument: two data sets have the same name, or an option names an unknown one.
    """
    names = [path.name for paths in data.values() for path in paths]
    if len(set(names)) < len(names):
        raise InvalidArgument(
            f"data: two data sets have the same name; rename one of the folders {names}"
        )
    for option, known in options.items():
        if unknown := known.keys() - {*names, ""}:
            raise InvalidArgument(f"{option}: no data set is called {', '.join(sorted(unknown))}")


def material(folder: Path, domain: str, recipe: ReaderRecipe) -> ReaderMaterial:
    """Read one data set."""
    dataset = load_dataset(folder, TRAIN)
    rng = random.Random(f"{recipe.seed} {dataset.name}")
    asked = read_questions(dataset, recipe.words, rng)
    train, dev = asked.part(dev=False), asked.part(dev=True)
    groups = PromptGroups(dataset, domain, recipe, asked.passages, rng)
    most = recipe.dev_questions
    return ReaderMaterial(
        name=dataset.name,
        domain=domain,
        sha256=dataset.sha256,
        examples=groups.training(train.answerable, train.unanswerable),
        dev=groups.dev(dev.answerable[:most], dev.unanswerable[:most]),
        dropped=asked.dropped,
    )


@dataclass(frozen=True, slots=True)
class Questions:
    """The usable questions of a train split, in random order.

    ``dropped`` counts the other questions by reason.
    """

    dataset: Dataset
    passages: Passages
    answerable: list[Answered]
    unanswerable: list[Query]
    dropped: Mapping[str, int]

    def part(self, *, dev: bool) -> Questions:
        """Return the dev questions, or those to train on."""
        return replace(
            self,
            answerable=[q for q in self.answerable if is_dev(q.query, self.dataset) is dev],
            unanswerable=[q for q in self.unanswerable if is_dev(q, self.dataset) is dev],
        )


def read_questions(dataset: Dataset, words: int, rng: random.Random) -> Questions:
    """Find the replies to the questions of a train split.

    :param words: words per passage.
    """
    # unreadable documents are reported when they are indexed
    passages = Passages(dataset.documents(), words)
    dropped: Counter[str] = Counter()
    tested = _read_other_questions(dataset.folder)
    answerable: list[Answered] = []
    open_: list[Query] = []
    for query in dataset.queries:
        if normalize(query.text) in tested:
            dropped[ASKED] += 1
        elif query.answers == ():
            open_.append(query)
        elif isinstance(item := find_answer(query, dataset, passages, rng), str):
            dropped[item] += 1
        else:
            answerable.append(item)
    for some in (answerable, open_):
        rng.shuffle(some)
    return Questions(dataset, passages, answerable, open_, dict(dropped))


def is_dev(query: Query, dataset: Dataset) -> bool:
    """Whether a question is held out as dev; questions about one document are never split."""
    about = next(iter(dataset.relevant(query.id)), query.metadata.get("near_doc"))
    return zlib.crc32(str(about or query.id).encode()) % 100 < _DEV_SHARE


def _read_other_questions(folder: Path) -> frozenset[str]:
    return frozenset(
        normalize(query.text)
        for split in splits(folder)
        if split != TRAIN
        for query in load_dataset(folder, split).queries
    )
