"""From a data set to reading examples: the gold passage among distractors, or missing.

Only the train split is read; a share of its documents, with the questions about them, is dev.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from expertrag.domains.data import TRAIN, Data
from expertrag.errors import InvalidArgument
from expertrag.eval.datasets import Dataset, Query, load_dataset
from expertrag.eval.qrels import splits
from expertrag.reader.answers import ASKED, Answered, answered
from expertrag.reader.examples import Material
from expertrag.reader.passages import Passages
from expertrag.reader.sheets import Sheets
from expertrag_retriever.training.types import normalized

if TYPE_CHECKING:
    from expertrag.reader.recipe import Recipe
    from expertrag_index.types import LoadFailure

_DEV_SHARE = 10  # percent of the documents


def materials(
    data: Data,
    recipe: Recipe,
    licences: Mapping[str, str],
    most_examples: Mapping[str, int] = MappingProxyType({}),
) -> list[Material]:
    """Read the data sets of every domain.

    :param licences: by the name of the data set.
    :param most_examples: instead of the recipe's, by the name of the data set; "" is of none.
    :raises ExpertRAGError: a data set is missing or damaged, has no train split, or is called like
        another one; or a licence or number is of none of them.
    """
    named = [(domain, path) for domain, paths in data.items() for path in paths]
    names = [path.name for _, path in named]
    if len(set(names)) < len(names):
        raise InvalidArgument(f"data: two data sets have one name; rename a folder of {names}")
    for option, known in (("licence", licences), ("examples", most_examples)):
        if unknown := known.keys() - {*names, ""}:
            raise InvalidArgument(f"{option}: no data set is called {', '.join(sorted(unknown))}")
    found = [
        material(
            path,
            domain,
            replace(recipe, most_examples=most_examples.get(path.name, recipe.most_examples)),
        )
        for domain, path in named
    ]
    return [replace(item, licence=licences.get(item.name, item.licence)) for item in found]


def material(folder: Path, domain: str, recipe: Recipe) -> Material:
    """Read one data set."""
    dataset = load_dataset(folder, TRAIN)
    failures: list[LoadFailure] = []  # what cannot be read is for those who index it
    passages = Passages(dataset.documents(failures), recipe.words)
    rng = random.Random(f"{recipe.seed} {dataset.name}")
    dropped: Counter[str] = Counter()
    tested = _asked_elsewhere(folder)
    found: list[Answered] = []
    open_: list[Query] = []
    for query in dataset.queries:
        if normalized(query.text) in tested:
            dropped[ASKED] += 1
        elif query.answers == ():
            open_.append(query)
        elif isinstance(item := answered(query, dataset, passages, rng), str):
            dropped[item] += 1
        else:
            found.append(item)
    for some in (found, open_):
        rng.shuffle(some)
    dev = [item for item in found if is_dev(item.query, dataset)]
    dev_open = [query for query in open_ if is_dev(query, dataset)]
    sheets = Sheets(dataset, domain, recipe, passages, rng)
    return Material(
        name=dataset.name,
        domain=domain,
        sha256=dataset.sha256,
        examples=sheets.training(
            [item for item in found if not is_dev(item.query, dataset)],
            [query for query in open_ if not is_dev(query, dataset)],
        ),
        dev=sheets.dev(dev[: recipe.dev_questions], dev_open[: recipe.dev_questions]),
        dropped=dict(dropped),
    )


def is_dev(query: Query, dataset: Dataset) -> bool:
    """Whether no reader is trained on a question: all those about one document are dev, or none."""
    about = next(iter(dataset.relevant(query.id)), query.metadata.get("near_doc"))
    return zlib.crc32(str(about or query.id).encode()) % 100 < _DEV_SHARE


def _asked_elsewhere(folder: Path) -> frozenset[str]:
    return frozenset(
        normalized(query.text)
        for split in splits(folder)
        if split != TRAIN
        for query in load_dataset(folder, split).queries
    )
