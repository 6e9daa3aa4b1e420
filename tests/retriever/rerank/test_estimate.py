"""The estimate of a reranker's gain on a store's own questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from store_helper import build

from expertrag_index import Index
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import Document, FloatArray
from expertrag_retriever.calibrate import calibrator, make_completeness_check
from expertrag_retriever.rerank.cross_encoder import CrossEncoderReranker
from expertrag_retriever.rerank.estimate import RerankEstimate, estimate_gain

if TYPE_CHECKING:
    from expertrag_retriever import SentenceTransformerEmbedder


class SharedWords:
    """A network that counts the words that query and text share; or, turned round, lack."""

    device, max_tokens = "cpu", 512

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def scores(self, query: str, texts: Sequence[str]) -> FloatArray:
        words = set(query.lower().split())
        shared = [len(words & set(text.lower().split())) for text in texts]
        return self.sign * np.array(shared, np.float32)


def reranker(sign: float) -> CrossEncoderReranker:
    return CrossEncoderReranker("words", f"words {sign}", SharedWords(sign))


def test_a_harmful_reranker_is_found_out(
    beir_index: Index, embedder: SentenceTransformerEmbedder
) -> None:
    good = estimate_gain(beir_index, embedder, reranker(1.0))
    bad = estimate_gain(beir_index, embedder, reranker(-1.0))
    assert good.questions == bad.questions >= 30
    assert good.search == bad.search > 0.7
    assert good.gain > -0.1 > bad.gain
    assert not bad.helps
    assert (bad.reranker, bad.fingerprint) == ("words", "words -1.0")


def test_it_helps_only_with_a_gain_on_enough_questions() -> None:
    known = RerankEstimate("mine", "1", questions=40, search=0.8, reranked=0.81)
    assert known.helps
    assert not replace(known, reranked=0.8).helps
    assert not replace(known, questions=3).helps


def test_it_is_read_from_a_calibration() -> None:
    known = RerankEstimate("mine", "1", questions=40, search=0.8, reranked=0.81)
    assert RerankEstimate.of({"rerank": known.to_manifest()}) == known
    for other in ({}, {"rerank": 3}, {"rerank": {**known.to_manifest(), "new": 1}}):
        assert RerankEstimate.of(other) is None


def test_a_build_keeps_the_estimate_until_the_store_changes(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    documents = [
        Document(
            f"d{number}",
            f"Plot {number} grows {crop} in {place} soil. Its gate opens at {number + 5} o'clock.",
            f"Plot {number} > What grows beside {crop}",
        )
        for number, (crop, place) in enumerate(
            (crop, place)
            for crop in ("barley", "oats", "rye", "millet", "maize", "flax")
            for place in ("sandy", "loamy", "chalky", "peaty", "stony")
        )
    ]
    store, first = tmp_path / "store", reranker(1.0)
    build(store, embedder, documents, calibrate=calibrator(embedder, first))
    written = _estimate(store)
    assert written is not None and written.fingerprint == first.fingerprint
    build(store, embedder, documents[1:], calibrate=calibrator(embedder))
    assert _estimate(store) == written
    build(store, embedder, documents[:5], calibrate=calibrator(embedder))
    assert _estimate(store) == written
    other = reranker(-1.0)
    wanted = WriterSettings(calibrated=make_completeness_check(other))
    with IndexWriter.open(
        store, embedder, calibrate=calibrator(embedder, other), settings=wanted
    ) as writer:
        assert writer.build(documents[:5]).chunks_embedded == 0
        again = writer.build(documents[:5]).generation
        assert writer.build(documents[:5]).generation == again
    replaced = _estimate(store)
    assert replaced is not None and replaced.fingerprint == "words -1.0"
    assert not replaced.helps


def _estimate(store: Path) -> RerankEstimate | None:
    with Index.open(store) as index:
        return RerankEstimate.of(index.manifest.calibration)
