"""When a store is measured again: after a change of more than a tenth of its chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from store_helper import ExpertEmbedder, build

from expertrag_index import Index, IndexWriter
from expertrag_index.types import Document
from expertrag_retriever.calibrate import calibrator


def notes(first: int, last: int, words: str = "is free today") -> list[Document]:
    return [
        Document(f"note{i}", f"Berth {i} of the harbour {words}.", domain="legal")
        for i in range(first, last)
    ]


@pytest.fixture
def embedder() -> Any:
    return ExpertEmbedder(dimension=64)


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (notes(100, 101), False),
        (notes(100, 110), False),
        (notes(100, 111), True),
        (notes(0, 5, "is taken"), False),  # each is a chunk less and a chunk more
        (notes(0, 6, "is taken"), True),
    ],
)
def test_a_small_change_keeps_the_measurement(
    tmp_path: Path, embedder: Any, change: list[Document], again: bool
) -> None:
    build(tmp_path / "s", embedder, notes(0, 100), calibrate=calibrator(embedder))
    before = calibration(tmp_path / "s")
    add(tmp_path / "s", embedder, change)
    after = calibration(tmp_path / "s")
    assert before["measured"]["chunks"] == 100
    assert (after["measured"] != before["measured"]) is again
    assert (after["coverage"] != before["coverage"]) is again


def test_small_changes_add_up(tmp_path: Path, embedder: Any) -> None:
    build(tmp_path / "s", embedder, notes(0, 100), calibrate=calibrator(embedder))
    measured = []
    for first in range(100, 116, 4):
        add(tmp_path / "s", embedder, notes(first, first + 4))
        measured.append(calibration(tmp_path / "s")["measured"]["chunks"])
    assert measured == [100, 100, 112, 112]


def test_a_store_of_an_earlier_version_is_measured(tmp_path: Path, embedder: Any) -> None:
    def without_measured(index: Index) -> Any:
        found = dict(calibrator(embedder)(index))
        del found["measured"]
        return found

    build(tmp_path / "s", embedder, notes(0, 100), calibrate=without_measured)
    assert "measured" not in calibration(tmp_path / "s")
    add(tmp_path / "s", embedder, notes(100, 101))
    assert calibration(tmp_path / "s")["measured"]["chunks"] == 101


def add(store: Path, embedder: Any, documents: list[Document]) -> None:
    with IndexWriter.open(store, embedder, calibrate=calibrator(embedder)) as writer:
        writer.add(documents)


def calibration(store: Path) -> Any:
    with Index.open(store) as index:
        return index.manifest.calibration
