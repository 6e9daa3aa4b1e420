"""The scope of a question, by the weights that ship in the package."""

from __future__ import annotations

import time

import pytest

from expertrag.answer.scope import (
    BUNDLE,
    SCOPES,
    WEIGHTS,
    ScopeProbabilities,
    is_set,
    load_shipped_weights,
    recognise_scope,
)
from expertrag.models.shipped import bundle_folder
from expertrag_retriever.types import QuestionScope

EXAMPLES = [
    ("Which contracts end in 2026?", "list"),
    ("Welche Verträge laufen 2026 aus?", "list"),
    ("How many incidents were there in May?", "count"),
    ("Wie viele Tickets sind noch offen?", "count"),
    ("What did we spend on travel in Q2?", "aggregate"),
    ("Which employee spent most on travel?", "aggregate"),
    ("Does any contract end in 2026?", "exists"),
    ("Sind alle Server aktualisiert?", "exists"),
    ("What is the difference between contract 12 and contract 14?", "compare"),
    ("Which of the two policies is in force?", "latest"),
    ("Who is the manager of the author of the incident plan?", "two_hops"),
    ("Summarise this report.", "document"),
    ("Fasse den Bericht zusammen", "document"),
    ("Is remote work allowed?", "lookup"),
    ("How many moons does Jupiter have?", "lookup"),
    ("What is the total fee of contract 12?", "lookup"),
    ("Wie hoch ist die Miete für Wohnung 12?", "lookup"),
    ("Thanks, that helps!", "lookup"),
    ("", "lookup"),
]


@pytest.mark.parametrize(("question", "scope"), EXAMPLES)
def test_the_scope_of_a_question_is_recognised(question: str, scope: str) -> None:
    assert recognise_scope(question).accepted == scope


@pytest.mark.parametrize(
    ("question", "scope"),
    [
        ("wich contarcts end in 2026", "list"),
        ("how many incidnts were there in may", "count"),
        ("Wieviele Tikets sind noch offen", "count"),
        ("sumarise the anual report", "document"),
        ("does any contrcat end in 2026", "exists"),
    ],
)
def test_typing_errors_do_not_matter(question: str, scope: str) -> None:
    assert recognise_scope(question).accepted == scope


def test_case_and_punctuation_do_not_matter() -> None:
    written = recognise_scope("Which contracts end in 2026?")
    assert recognise_scope("WHICH CONTRACTS END IN 2025") == written


def test_the_probabilities_are_of_every_scope_and_sum_to_one() -> None:
    result = recognise_scope("How many seats does the large room have?")
    assert tuple(result.probabilities) == SCOPES
    assert sum(result.probabilities.values()) == pytest.approx(1.0)
    assert result.probability == result.probabilities[result.likeliest]


def test_a_scope_below_its_bound_is_a_lookup() -> None:
    result = recognise_scope("How many incidents were there in May?")
    unsure = ScopeProbabilities(result.probabilities, dict.fromkeys(SCOPES, 1.1))
    assert result.likeliest is unsure.likeliest is QuestionScope.COUNT
    assert unsure.accepted is QuestionScope.LOOKUP


def test_sets_are_lists_counts_aggregates_and_existence() -> None:
    assert [scope for scope in SCOPES if is_set(scope)] == [
        QuestionScope.LIST,
        QuestionScope.COUNT,
        QuestionScope.AGGREGATE,
        QuestionScope.EXISTS,
    ]


def test_diacritics_count_with_and_without() -> None:
    accepted = recognise_scope("Welche Vertrage laufen nachstes Jahr aus").accepted
    assert accepted is recognise_scope("Welche Verträge laufen nächstes Jahr aus").accepted


def test_the_weights_are_small_and_a_question_takes_under_five_milliseconds() -> None:
    load_shipped_weights()
    text = "Which of our contracts with a notice period of three months end before July 2026?"
    best = min(_seconds(text) for _ in range(20))
    assert best < 0.005
    assert (bundle_folder(BUNDLE) / WEIGHTS).stat().st_size < 300_000


def test_a_long_text_is_read_at_both_ends() -> None:
    text = "word " * 5000
    assert recognise_scope(f"Summarise this report: {text}").accepted is QuestionScope.DOCUMENT
    assert _seconds(text) < 0.1


def _seconds(text: str) -> float:
    began = time.perf_counter()
    recognise_scope(text)
    return time.perf_counter() - began
