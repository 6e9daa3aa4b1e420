"""Questions in several wordings, for ``eval_paraphrases.py``.

spelling  rewrites of questions of five sets, as ``expertrag eval consistency`` makes them
people    squad2: two questions that people asked about the same paragraph, half of whose words are
          shared, and which have an accepted answer in common
patterns  popqa: relations in other patterns (``paraphrases/patterns.json``), as in ParaRel
written   squad2 and hotpotqa: paraphrases written for this benchmark (``paraphrases/written.json``)

The patterns and the written paraphrases are older than the canonical form of questions, and nothing
was chosen on any of these.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from expertrag.grounding.wording import wording
from expertrag_lab.data.datasets import Dataset, Query, sample
from expertrag_lab.metrics import squad

ALIKE = 0.5
"""Share of the words of two questions that both have, from which they may be paraphrases."""

_FOLDER = Path(__file__).parent / "paraphrases"

Reword = Callable[[Dataset], Iterator[Query]]
"""Yields the questions of a data set that have paraphrases, which are in their metadata."""


def _spelling(dataset: Dataset) -> Iterator[Query]:
    yield from dataset.judged


def _people(dataset: Dataset) -> Iterator[Query]:
    about: defaultdict[str, list[Query]] = defaultdict(list)
    for query in dataset.judged:
        about[dataset.relevant(query.id)[0]].append(query)
    taken: set[str] = set()
    for queries in about.values():
        for one, other in itertools.combinations(queries, 2):
            if not taken & {one.id, other.id} and _are_alike(one, other):
                taken |= {one.id, other.id}
                answers = (*(one.answers or ()), *(other.answers or ()))
                yield replace(_with(one, [other.text]), answers=answers)


def _are_alike(one: Query, other: Query) -> bool:
    accepted = [set(map(squad.normalise, query.answers or ())) for query in (one, other)]
    words = [wording(query.text).words for query in (one, other)]
    shared = len(words[0] & words[1]) / max(1, len(words[0] | words[1]))
    different = squad.normalise(one.text) != squad.normalise(other.text)
    return different and shared >= ALIKE and bool(accepted[0] & accepted[1])


def _patterns(dataset: Dataset) -> Iterator[Query]:
    patterns = _read("patterns")
    for query in dataset.judged:
        pattern = patterns[query.metadata["prop"]]
        before, after = map(re.escape, pattern["asked"].split("{}"))
        subject = re.fullmatch(f"{before}(.+){after}", query.text)
        if subject:
            yield _with(query, [other.format(subject[1]) for other in pattern["others"]])


def _written(dataset: Dataset) -> Iterator[Query]:
    written = _read("written")[dataset.name]
    for query in dataset.judged:
        if query.id in written:
            yield _with(query, written[query.id])


def _with(query: Query, paraphrases: list[str]) -> Query:
    return replace(query, metadata={**query.metadata, "paraphrases": paraphrases})


def _read(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_bytes())


KINDS: Mapping[str, tuple[Reword, tuple[str, ...]]] = {
    "spelling": (_spelling, ("squad2", "hotpotqa", "popqa", "pubmedqa", "pydocs")),
    "people": (_people, ("squad2",)),
    "patterns": (_patterns, ("popqa",)),
    "written": (_written, ("squad2", "hotpotqa")),
}
"""By kind of wording: how questions are reworded, and those of which sets."""


def reworded(dataset: Dataset, kind: str, count: int) -> tuple[Query, ...]:
    """Draw questions of a data set that have paraphrases of a kind."""
    reword, _ = KINDS[kind]
    return sample(sorted(reword(dataset), key=lambda query: query.id), count, 0)
