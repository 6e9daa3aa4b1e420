"""Features of passages for a question, computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from expertrag.api.types import Passage
from expertrag.grounding.evidence import Evidence, evidence_signals
from expertrag_index.types import FloatArray


def passage(text: str, dense: float, title: str = "") -> Passage:
    return Passage("d", 0, text, 0, len(text), dense, dense, title=title)


ROLLO = passage("Rollo led the Normans. He came from Denmark.", 0.75)
KINGS = passage("King Charles ruled France in 911.", 0.5)


def encode(texts: Sequence[str]) -> FloatArray:
    """Unit vectors: those of texts with a year have a cosine of .6 with the others'."""
    return np.array(
        [[0.6, 0.8] if any(letter.isdigit() for letter in text) else [1.0, 0.0] for text in texts],
        np.float32,
    )


def test_figures_by_hand() -> None:
    found = evidence_signals("Did Rollo swear fealty to Charles in 912?", (ROLLO, KINGS), encode)
    assert found["evidence_dense_best"] == 0.75
    assert found["evidence_dense_gap"] == 0.25
    assert found["evidence_dense_mean"] == 0.625
    assert found["evidence_sentence_best"] == pytest.approx(1.0)  # the one with a year
    assert found["evidence_sentence_second"] == pytest.approx(0.6)
    assert found["evidence_sentence_mean"] == pytest.approx(2.2 / 3)
    # rollo and charles are in one sentence of three, swear, fealty and 912 in none
    known, unknown = math.log(4 / 1.5), math.log(4 / 0.5)
    assert found["evidence_recall_best"] == pytest.approx(known / (2 * known + 3 * unknown))
    assert found["evidence_recall_all"] == pytest.approx(2 * known / (2 * known + 3 * unknown))
    assert found["evidence_missing"] == 4
    assert found["evidence_missing_everywhere"] == 3
    assert found["evidence_missing_weight"] == pytest.approx(3 * unknown / 2)
    assert found["evidence_exact"] == 3  # Rollo, Charles, 912
    assert found["evidence_exact_missing"] == 2
    assert found["evidence_exact_missing_everywhere"] == 1
    assert found["evidence_negated"] == 0


def test_one_passage_and_none() -> None:
    one = evidence_signals("Who led the Normans?", (ROLLO,), encode)
    assert (one["evidence_dense_gap"], one["evidence_recall_second"]) == (0, 0)
    assert evidence_signals("Who led the Normans?", (), encode) == {}


@pytest.mark.parametrize("text", ["", "   ", "…"])
def test_passages_and_questions_without_words(text: str) -> None:
    for question, passages in ((text, (ROLLO,)), ("Who?", (passage(text, 0.1),))):
        found = evidence_signals(question, passages, encode)
        assert all(map(math.isfinite, found.values()))
    assert evidence_signals(text, (ROLLO,), encode)["evidence_recall_best"] == 1


def test_the_title_counts_in_every_sentence() -> None:
    titled = passage("He came from Denmark.", 0.5, title="Rollo")
    (spans,) = Evidence((titled,), "").spans
    assert "rollo" in spans[0].content.holds
