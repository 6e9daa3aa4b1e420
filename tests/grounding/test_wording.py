"""Texts as words: what counts as the same, and what must match exactly."""

from __future__ import annotations

import pytest

from expertrag.grounding.wording import is_value, without_function_words, wording


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("The colour was organised.", "Colors are organized"),
        ("roses pruned", "Prune the rose."),
        ("30", "It takes 30 days."),
        ("It is 70 euros.", "The price: €70"),
        ("90 minutes", "one and a half hours, or 1.5 h"),
        ("café", "cafe"),
    ],
)
def test_a_text_supports_the_same_in_other_words(claim: str, text: str) -> None:
    assert not wording(claim).lacking_in(wording(text))


@pytest.mark.parametrize(
    ("claim", "text", "lacking"),
    [
        ("31 days", "It takes 30 days.", "2678400 s"),
        ("run it with --force", "run it with --dry-run", "--force"),
        ("set max_connections", "set the connections", "max_connections"),
        ("roses and tulips", "roses", "tulip"),
    ],
)
def test_what_a_text_does_not_say_is_lacking(claim: str, text: str, lacking: str) -> None:
    (word,) = wording(claim).lacking_in(wording(text))
    assert lacking in word


def test_words_after_a_negation_are_negated() -> None:
    assert "reimburs" in "".join(wording("Taxis are not reimbursed.").negated)
    assert not wording("Taxis are reimbursed no later than May.").negated


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("Yes, it is.", "yes"), ("No.", "no"), ("No employees may.", ""), ("Yesterday.", "")],
)
def test_a_verdict_begins_the_text(text: str, verdict: str) -> None:
    assert wording(text).verdict == verdict


def test_values_have_a_digit() -> None:
    text = wording("Use --force for 30 days")
    assert text.exact - text.values == {"--force"}
    assert text.values == set(filter(is_value, text.exact)) == {"2592000 s"}


def test_scripts_without_spaces_are_n_grams() -> None:
    asked, said = wording("4 分 51 秒的记录"), wording("他以4分51秒创造了记录。")
    assert {"4", "51", "记录"} <= asked.words & said.holds
    assert wording("抗议").words == {"抗议"} <= wording("这类抗议可能会产生").holds
    assert wording("กรุง").words <= wording("กรุงเทพมหานคร").holds


def test_function_words_of_a_language_are_left_out() -> None:
    text = wording("Wie viele Einwohner hat die Stadt Ulm?")
    assert without_function_words(text, "de").words == {"die", "einwohn", "stadt", "ulm"}
    assert without_function_words(text, "en") is text
    assert "wie" not in without_function_words(text, "de").written
