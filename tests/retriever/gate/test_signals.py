"""Signals of the wording of a question and of a draft."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_retriever.gate.draft import draft_signals
from expertrag_retriever.gate.question import question_signals
from expertrag_retriever.gate.signals import (
    Draft,
    SignalGroup,
    Signals,
    collect_signals,
    group_of,
    store_numbers,
)
from expertrag_retriever.types import PrefillSignals


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("who sings i wont let the sun go down on me", "who"),
        ("In which city is the Louvre?", "where"),
        ("In what year did it end?", "when"),
        ("how many episodes are there", "how_many"),
        ("How do I mend a bicycle?", "how"),
        ("Is it raining?", "yes_no"),
        ("In which film does he play?", "which"),
        ("Name three fruits.", "name"),
    ],
)
def test_the_type_of_a_question(question: str, kind: str) -> None:
    signals = question_signals(question)
    types = {name for name, value in signals.items() if name.startswith("question_is_") and value}
    assert types == {f"question_is_{kind}"}


@given(st.text(), st.text())
def test_any_text_has_finite_signals_of_the_same_names(question: str, draft: str) -> None:
    for signals, empty in (
        (question_signals(question), question_signals("")),
        (draft_signals(question, draft), draft_signals("", "")),
    ):
        assert signals.keys() == empty.keys()
        assert all(map(math.isfinite, signals.values()))


def test_a_draft() -> None:
    signals = draft_signals("Who won in 1998?", "I do not know who won in 1998.")
    assert (signals["draft_doubt"], signals["draft_has_year"]) == (1.0, 1.0)
    assert signals["draft_repeats_question"] == 4 / 8


def test_every_signal_has_a_group() -> None:
    found = collect_signals(
        "Who?",
        np.array([1.0, 0.0], np.float32),
        prefill=PrefillSignals(
            0.1,
            0.2,
            0.3,
            6,
            router_entropy=0.5,
            vectors={name: np.ones(2, np.float32) for name in ("router_pattern", "hidden_upper")},
        ),
        draft=Draft("Nobody", np.array([0.6, 0.8], np.float32), {"draft_log_probability": -1.0}),
        extra=Signals({**store_numbers(0.5), "evidence_missing": 1.0, "domain_entropy": 0.1}),
    )
    groups = {group_of(name) for name in [*found.numbers, *found.vectors]}
    assert groups == set(SignalGroup)
    assert found.numbers["draft_similarity"] == pytest.approx(0.6)
    assert group_of("unheard_of") is None


def test_signals_that_were_not_measured_are_absent() -> None:
    found = collect_signals("Who?", None)
    assert not found.vectors
    assert all(name.startswith("question_") for name in found.numbers)
