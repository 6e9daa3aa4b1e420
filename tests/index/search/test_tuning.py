"""How many lists of a large segment are probed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_helper import HashingEmbedder

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.search.tuning import TARGET_RECALL, pieces_of, tune
from expertrag_index.store.index import Index
from expertrag_index.store.rows import StoredVectors
from expertrag_index.types import Document
from expertrag_index.upkeep.compact import compact
from expertrag_index.upkeep.verify import verify

SETTINGS = WriterSettings(flat_limit=1000, small=100)
EMBEDDER = HashingEmbedder(dimension=24)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuning") / "s"
    rng = np.random.default_rng(0)
    words = rng.integers(0, 400, (3000, 20))
    documents = [
        Document(f"d{number}", " ".join(f"w{word}" for word in row))
        for number, row in enumerate(words)
    ]
    with IndexWriter.open(path, EMBEDDER, settings=SETTINGS) as writer:
        writer.build(documents)
    return path


def test_pieces_of_text_find_their_neighbours(store: Path) -> None:
    with Index.open(store) as index:
        (entry,) = index.manifest.segments
        assert entry.kind == "ivf_sq8"
        assert TARGET_RECALL <= entry.recall == index.manifest.recall_at_10
        (segment,) = index.open_parts.vectors.values()
        with index._reading() as connection:
            pieces = pieces_of(connection, segment.rows.keys, EMBEDDER, "general")
            assert pieces.shape == (200, 24)
            assert np.linalg.norm(pieces, axis=1) == pytest.approx(1, abs=1e-6)
            found, recall = tune(StoredVectors(connection), segment, segment.rows.keys, pieces)
            assert (found.nprobe, recall) == (entry.nprobe, entry.recall)


def test_a_piece_without_a_vector_is_left_out(store: Path) -> None:
    class Poisoned(HashingEmbedder):
        def encode_query(self, text: str, domain: str | None = None) -> np.ndarray:
            known = super().encode_query(text, domain)
            return known * np.nan if "w7" in text.split() else known

    with Index.open(store) as index, index._reading() as connection:
        pieces = pieces_of(connection, index._generation.live, Poisoned(24), "general")
    assert 0 < len(pieces) < 200
    assert np.isfinite(pieces).all()


def test_without_an_embedder_the_share_is_kept(store: Path) -> None:
    with Index.open(store) as index:
        (before,) = index.manifest.segments
    compact(store, settings=SETTINGS)
    with Index.open(store) as index:
        (after,) = index.manifest.segments
        assert (after.nprobe, after.nlist, after.recall) == (
            before.nprobe, before.nlist, before.recall,
        )  # fmt: skip
    assert verify(store).problems == ()
