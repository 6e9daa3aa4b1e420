"""The weight of BM25: by hand-computed figures, and calibrated on a real store."""

from __future__ import annotations

import pytest

from expertrag_index import Index
from expertrag_retriever import SentenceTransformerEmbedder, calibrate_fusion
from expertrag_retriever.fusion import Fusion


def test_weight_by_hand() -> None:
    # lexical contrast 1.1 - 10/20, dense contrast 1.5 + (0.7 - 0.5) / 0.1
    bm25 = [20.0, *[15.0] * 8, 10.0]
    cosines = [0.7, *[0.6] * 8, 0.5]
    weight = Fusion(weight=0.1).query_weight("how are logs kept", bm25, cosines)
    assert weight == pytest.approx(1.15 * 0.1 * 0.6 / 3.5**1.5)
    # fewer than ten lexical hits have the full contrast
    weight = Fusion(weight=0.1).query_weight("how are logs kept", [20.0, 19.0], [0.7] * 10)
    assert weight == pytest.approx(1.15 * 0.1 * 1.1 / 1.5**1.5)


@pytest.mark.parametrize(
    ("query", "factor"),
    [
        ("how are logs kept", 1.0),
        ("How are logs kept", 1.0),  # the first word is capitalised in any sentence
        ("what changed in 2019", 3.0),
        ("who founded Acme", 1.0 + 3.0 / 2),
        ("HOW ARE LOGS KEPT", 1.0),  # capitals everywhere are not evidence
        ("Why", 1.0),
        ("what if I say I'm late", 1.0),  # no name
        ("revenue of Acme 2019", 1.0 + 2.0 + 3.0 / 3),
    ],
)
def test_numbers_and_names_raise_the_weight(query: str, factor: float) -> None:
    plain = Fusion().query_weight("how are logs kept", [9.0], [0.5])
    assert Fusion().query_weight(query, [9.0], [0.5]) == pytest.approx(factor * plain)


@pytest.mark.parametrize(("bm25", "cosines"), [([], [0.5]), ([0.0], [0.5]), ([3.0], [])])
def test_nothing_found_by_one_half(bm25: list[float], cosines: list[float]) -> None:
    assert Fusion(0.1).query_weight("what changed in 2019", bm25, cosines) == 0.1


def test_calibration_is_stored_in_the_manifest(beir_index: Index) -> None:
    stored = beir_index.manifest.calibration["fusion"]
    assert isinstance(stored, dict)
    assert stored["pseudo_queries"] == 64
    assert Fusion.of(beir_index.manifest.calibration).weight == stored["lexical_weight"]
    assert 0.05 < stored["lexical_weight"] < 0.2


def test_calibration_is_repeatable(
    beir_index: Index, embedder: SentenceTransformerEmbedder
) -> None:
    assert dict(calibrate_fusion(beir_index, embedder)) == beir_index.manifest.calibration["fusion"]


@pytest.mark.parametrize(
    "calibration",
    [{}, {"fusion": None}, {"fusion": {}}, {"fusion": {"lexical_weight": "x"}},
     {"fusion": {"lexical_weight": 0}}],
)  # fmt: skip
def test_a_store_without_calibration_gets_the_default(calibration: dict[str, object]) -> None:
    assert Fusion.of(calibration) == Fusion(0.1)  # type: ignore[arg-type] # JSON by construction
