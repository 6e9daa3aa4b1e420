"""The oracle of the campaigns, against figures computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracle import admitted, bm25, cosines, stored_vector
from store_helper import HashingEmbedder
from store_model import Counts, StoreModel

from expertrag_index.types import Document, Filter

ONE = Document("one", "word1 word2 word1.", metadata={"number": 1, "tags": ["tag1", "tag2"]})
TWO = Document("two", "word2 word3.", domain="legal", metadata={"number": 2})
SIX = Document("six", "word9 word9 word9 word9 word9 word9.", metadata={"parity": "odd"})


def model_of(*documents: Document) -> StoreModel:
    model, _ = StoreModel().build(documents)
    return model


def test_bm25_by_hand() -> None:
    model = model_of(ONE, TWO, SIX)
    found = bm25(model, "word1 word3", {})
    idf = math.log((3 - 1 + 0.5) / (1 + 0.5))  # each word is in one of three chunks
    mean = (3 + 2 + 6) / 3
    assert found == {
        ("one", 0): pytest.approx(idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / mean))),
        ("two", 0): pytest.approx(idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / mean))),
    }


def test_cosines_are_of_the_rounded_vectors() -> None:
    model = model_of(TWO)
    query = HashingEmbedder().encode_query("word2")
    (chunk,) = model.live["two"].chunks
    vector = stored_vector(HashingEmbedder(), "general", chunk)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert cosines(model, "word2", {}) == {("two", 0): pytest.approx(float(vector @ query))}
    exact = HashingEmbedder().encode_query("word2 word3.")
    assert 0 < np.abs(vector - exact).max() < 1e-3


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"number": {"$gte": 2}}, ["two"]),
        ({"number": 1}, ["one"]),
        ({"number": {"$ne": 1}}, ["two", "six"]),
        ({"tags": {"$in": ["tag2", "tag3"]}}, ["one"]),
        ({"domain": "legal"}, ["two"]),
        ({"parity": "odd", "number": {"$lt": 5}}, []),
    ],
)
def test_filters(wanted: Filter, ids: list[str]) -> None:
    model = model_of(ONE, TWO, SIX)
    assert [version.document.id for version in admitted(model, wanted)] == ids


def test_a_deletion_counts_what_is_there() -> None:
    smaller, counts = model_of(ONE, TWO).delete(["two", "three"])
    assert counts == Counts(removed=1, failures=1)
    assert sorted(smaller.live) == ["one"]
