"""Scores of different experts are mapped onto one scale: by hand, and in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_helper import ExpertEmbedder, build

from expertrag_index import Index, IndexWriter
from expertrag_index.search.scales import IDENTITY
from expertrag_index.types import Document
from expertrag_retriever import Searcher
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.scales import fit_scale
from expertrag_retriever.types import SearchMode


def test_fit_inverts_an_affine_map() -> None:
    base = np.random.default_rng(0).uniform(-1, 1, (20, 50)).astype(np.float32)
    scale = fit_scale(base * 0.5 + 0.5, base)
    assert (scale.scale, scale.shift) == pytest.approx((2.0, -1.0), abs=1e-4)
    assert fit_scale(base, base).scale == pytest.approx(1.0)


def test_scores_without_spread_have_no_scale() -> None:
    flat = np.full((5, 20), 0.7, np.float32)
    base = np.random.default_rng(0).uniform(-1, 1, (5, 20)).astype(np.float32)
    assert fit_scale(flat, base) == fit_scale(base, flat) == IDENTITY


def words(domain: str, i: int) -> str:
    return " ".join(f"{domain}{(i * j + j) % 37}" for j in range(1, 9))


@pytest.fixture
def embedder() -> Any:
    """The expert of finance maps every cosine to (cosine + 1) / 2."""
    return ExpertEmbedder(lean={"finance": np.pi / 4}, dimension=128)


def corpus(count: int) -> list[Document]:
    return [
        Document(f"{domain}{i}", f"{words(domain, i)}.", domain=domain)
        for domain in ("legal", "finance")
        for i in range(count)
    ]


def test_an_expert_with_inflated_scores_does_not_dominate(tmp_path: Path, embedder: Any) -> None:
    build(tmp_path / "s", embedder, corpus(60), calibrate=calibrator(embedder))
    with Index.open(tmp_path / "s") as index:
        stored: Any = index.manifest.calibration["partitions"]
        assert stored["finance"]["scale"] == pytest.approx(2.0, rel=0.05)
        assert stored["finance"]["shift"] == pytest.approx(-1.0, rel=0.1)
        assert stored["legal"]["scale"] == pytest.approx(1.0, rel=0.05)
        right, wrong = (
            _own_share(Searcher(opened, embedder)) for opened in (index, index.rescale({}))
        )
    assert right > 0.9
    assert wrong < right - 0.2


def _own_share(searcher: Searcher) -> float:
    """Share of the ten best, for questions of law, that are of law."""
    found = []
    for i in range(20):
        query = f"legal-word finance-word {words('legal', i)}"  # the router is undecided
        result = searcher.search(query, k=10, mode=SearchMode.DENSE)
        found += [passage.domain == "legal" for passage in result.passages]
    return float(np.mean(found))


def test_a_small_partition_keeps_its_cosines(tmp_path: Path, embedder: Any) -> None:
    build(tmp_path / "s", embedder, corpus(5), calibrate=calibrator(embedder))
    with Index.open(tmp_path / "s") as index:
        stored: Any = index.manifest.calibration["partitions"]
    assert {(item["scale"], item["shift"]) for item in stored.values()} == {(1.0, 0.0)}


def test_a_scale_is_measured_again_when_other_partitions_grow(
    tmp_path: Path, embedder: Any
) -> None:
    finance = [item for item in corpus(60) if item.domain == "finance"]
    rest = [item for item in corpus(60) if item.domain != "finance"]
    stored: list[Any] = []
    for documents in (finance, rest, rest[:0]):
        with IndexWriter.open(tmp_path / "s", embedder, calibrate=calibrator(embedder)) as writer:
            writer.add(documents)
        with Index.open(tmp_path / "s") as index:
            stored.append(index.manifest.calibration["partitions"])
    alone, together, again = (item["finance"] for item in stored)
    assert (alone["other_chunks"], together["other_chunks"]) == (0, len(rest))
    assert together["pseudo_queries"] > alone["pseudo_queries"]
    assert again == together
    build(tmp_path / "whole", embedder, [*finance, *rest], calibrate=calibrator(embedder))
    with Index.open(tmp_path / "whole") as index:
        whole: Any = index.manifest.calibration["partitions"]
    assert together["scale"] == pytest.approx(whole["finance"]["scale"], rel=0.1)


def test_one_partition_ranks_as_without_a_scale(tmp_path: Path, embedder: Any) -> None:
    finance = [item for item in corpus(60) if item.domain == "finance"]
    build(tmp_path / "s", embedder, finance, calibrate=calibrator(embedder))
    with Index.open(tmp_path / "s") as index:
        scaled, raw = Searcher(index, embedder), Searcher(index.rescale({}), embedder)
        for i in range(10):
            query = words("finance", i + 100)
            one, other = (
                searcher.search(query, k=20, mode=SearchMode.DENSE) for searcher in (scaled, raw)
            )
            assert [p.document_id for p in one.passages] == [p.document_id for p in other.passages]
            assert one.passages[0].dense_score != other.passages[0].dense_score
