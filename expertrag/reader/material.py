"""From a data set to reading examples: the gold passage among distractors, or missing.

Only the train split is read; a share of its documents, with the questions about them, is dev.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.domains.data import TRAIN, Data
from expertrag.errors import InvalidArgument
from expertrag.eval.datasets import Dataset, Query, load_dataset
from expertrag.eval.qrels import splits
from expertrag.prompt import ABSTAINS, Reply
from expertrag.reader.answers import ASKED, Answered, answered, holding
from expertrag.reader.examples import DevQuestions, Example, Material, numbered
from expertrag.reader.passages import Passages
from expertrag_retriever.training.types import normalized

if TYPE_CHECKING:
    from expertrag.reader.recipe import Recipe
    from expertrag_index.types import LoadFailure
    from expertrag_retriever.types import Passage

_DEV_SHARE = 10  # percent of the documents


def materials(data: Data, recipe: Recipe, licences: Mapping[str, str]) -> list[Material]:
    """Read the data sets of every domain.

    :param licences: by the name of the data set.
    :raises ExpertRAGError: a data set is missing or damaged, has no train split, or is called like
        another one; or a licence of none of them.
    """
    named = [(domain, path) for domain, paths in data.items() for path in paths]
    names = [path.name for _, path in named]
    if len(set(names)) < len(names):
        raise InvalidArgument(f"data: two data sets have one name; rename a folder of {names}")
    if unknown := licences.keys() - set(names):
        raise InvalidArgument(f"licence: no data set is called {', '.join(sorted(unknown))}")
    found = [material(path, domain, recipe) for domain, path in named]
    return [replace(item, licence=licences.get(item.name, item.licence)) for item in found]


def material(folder: Path, domain: str, recipe: Recipe) -> Material:
    """Read one data set."""
    dataset = load_dataset(folder, TRAIN)
    failures: list[LoadFailure] = []  # what cannot be read is for those who index it
    maker = _Maker(dataset, domain, recipe, Passages(dataset.documents(failures), recipe.words))
    dropped: Counter[str] = Counter()
    tested = _asked_elsewhere(folder)
    found: list[Answered] = []
    open_: list[Query] = []
    for query in dataset.queries:
        if normalized(query.text) in tested:
            dropped[ASKED] += 1
        elif query.answers == ():
            open_.append(query)
        elif isinstance(item := answered(query, dataset, maker.passages, maker.rng), str):
            dropped[item] += 1
        else:
            found.append(item)
    for some in (found, open_):
        maker.rng.shuffle(some)
    dev = [item for item in found if maker.is_dev(item.query)]
    dev_open = [query for query in open_ if maker.is_dev(query)]
    return Material(
        name=dataset.name,
        domain=domain,
        sha256=dataset.sha256,
        examples=maker.training(
            [item for item in found if not maker.is_dev(item.query)],
            [query for query in open_ if not maker.is_dev(query)],
        ),
        dev=maker.dev(dev[: recipe.dev_questions], dev_open[: recipe.dev_questions]),
        dropped=dict(dropped),
    )


class _Maker:
    """Makes the examples of one data set; one generator of random numbers draws everything."""

    def __init__(self, dataset: Dataset, domain: str, recipe: Recipe, passages: Passages) -> None:
        self.rng = random.Random(f"{recipe.seed} {dataset.name}")
        self.passages = passages
        self._dataset = dataset
        self._domain = domain
        self._recipe = recipe

    def is_dev(self, query: Query) -> bool:
        """Whether a question is dev: all those about one document are, or none."""
        about = next(iter(self._dataset.relevant(query.id)), query.metadata.get("near_doc"))
        return zlib.crc32(str(about or query.id).encode()) % 100 < _DEV_SHARE

    def training(
        self, answerable: Sequence[Answered], unanswerable: Sequence[Query]
    ) -> tuple[Example, ...]:
        """Make examples, a share of which is to be abstained from.

        Where the set has too few questions without an answer, others are asked once more, without
        their gold passage.
        """
        share = self._recipe.unanswered
        most = self._recipe.most_examples or len(answerable) + len(unanswerable)
        answerable = answerable[: round(most * (1 - share))]
        wanted = round(len(answerable) * share / (1 - share))
        marked = [self._unanswerable(query, self._count()) for query in unanswerable[:wanted]]
        robbed = [self._robbed(item, self._count()) for item in answerable[: wanted - len(marked)]]
        examples = [self._answerable(item, self._count()) for item in answerable]
        examples += [item for item in (*marked, *robbed) if item.passages]
        return tuple(replace(item, strict=self.rng.random() < 0.5) for item in examples)

    def dev(self, answerable: Sequence[Answered], unanswerable: Sequence[Query]) -> DevQuestions:
        """Make dev questions, those with distractors with as many passages as are ever shown."""
        most = self._recipe.passages
        return DevQuestions(
            alone=tuple(self._answerable(item, 0) for item in answerable),
            among=tuple(self._answerable(item, most) for item in answerable),
            unanswerable=tuple(self._unanswerable(query, most) for query in unanswerable),
        )

    def _count(self) -> int:
        """Draw how many passages are shown: mostly few, which are more examples a token."""
        return self.rng.randint(1, self.rng.randint(1, self._recipe.passages))

    def _answerable(self, item: Answered, count: int) -> Example:
        shown = [*item.evidence, *item.beside]
        shown += self._distractors(item, max(0, count - len(shown)))
        self.rng.shuffle(shown)
        reply = Reply(item.text, numbered(shown, item.evidence))
        return self._example(item.query, shown, reply, item.query.answers or ())

    def _robbed(self, item: Answered, count: int) -> Example:
        return self._example(item.query, self._distractors(item, count), ABSTAINS)

    def _unanswerable(self, query: Query, count: int) -> Example:
        near = list(self.passages.of(str(query.metadata.get("near_doc"))))[:count]
        others = [item for item in self._found(query, count) if item not in near]
        shown = [*near, *others[: count - len(near)]]
        self.rng.shuffle(shown)
        return self._example(query, shown, ABSTAINS)

    def _distractors(self, item: Answered, count: int) -> list[Passage]:
        judged = frozenset(self._dataset.relevant(item.query.id))
        found = self._found(item.query, count + len(judged))
        return [
            passage
            for passage in found
            if passage.document_id not in judged and not holding(passage, item.held_by)
        ][:count]

    def _found(self, query: Query, count: int) -> list[Passage]:
        return self.passages.search(query.text, 2 * count + 4)

    def _example(
        self, query: Query, shown: Iterable[Passage], reply: Reply, accepted: Sequence[str] = ()
    ) -> Example:
        return Example(
            self._dataset.name, self._domain, query.text, tuple(shown), reply, tuple(accepted)
        )


def _asked_elsewhere(folder: Path) -> frozenset[str]:
    return frozenset(
        normalized(query.text)
        for split in splits(folder)
        if split != TRAIN
        for query in load_dataset(folder, split).queries
    )
