"""Real files of many kinds keep their words, compared with what other readers found in them.

The files and the texts of their references are written by `make lab-eval-loaders
ARGS="--slice tests/data/loaders"`, which compares hundreds of files of the same packages.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from loader_measures import PARTS, Comparison, Reading, compare
from loader_references import Reference

from expertrag_index.loaders.load import load
from expertrag_index.types import LoadFailure

FILES = Path(__file__).parents[2] / "data" / "loaders"
SOURCES: dict[str, dict[str, Any]] = json.loads((FILES / "sources.json").read_text("utf-8"))
FEWEST_KEPT = 0.98
FEWEST_PARTS = 0.995
MOST_NOISE = 0.02


@pytest.fixture(scope="module")
def comparisons() -> dict[str, Comparison]:
    """The comparison of each file, by its name."""
    readings: defaultdict[str, Reading] = defaultdict(Reading)
    failures: list[LoadFailure] = []
    for document in load([FILES / name for name in SOURCES], on_failure=failures.append):
        readings[document.source.partition("#")[0]].add(document)
    assert [failure for failure in failures if not failure.notice] == []
    return {
        name: compare(name, source["kind"], readings[name], Reference(**source["reference"]))
        for name, source in SOURCES.items()
    }


def test_the_slice_is_wide() -> None:
    assert len(SOURCES) >= 60
    assert len({source["kind"] for source in SOURCES.values()}) >= 14
    assert all(source["licence"] for source in SOURCES.values())
    assert {path.name for path in FILES.iterdir()} == {*SOURCES, "sources.json"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_real_file_keeps_its_words(comparisons: dict[str, Comparison], name: str) -> None:
    one = comparisons[name]
    assert one.kept >= FEWEST_KEPT, one.lost
    assert one.noise <= MOST_NOISE, one.invented


@pytest.mark.parametrize("part", PARTS)
def test_code_and_cells_keep_their_words(comparisons: dict[str, Comparison], part: str) -> None:
    counts = [one.parts[part] for one in comparisons.values() if one.parts.get(part)]
    total = sum(of for _, of in counts)
    assert total > 100
    assert sum(kept for kept, _ in counts) / total >= FEWEST_PARTS
