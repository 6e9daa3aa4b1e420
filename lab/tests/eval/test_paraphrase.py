"""Wordings of a question: named, distinct, in a fixed order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from expertrag_lab.data.datasets import Query
from expertrag_lab.eval.paraphrase import Paraphrase, wordings


def test_a_question_is_reworded() -> None:
    assert wordings(Query("1", "What is Warsaw's river?")) == (
        Paraphrase("original", "What is Warsaw's river?"),
        Paraphrase("lower_case", "what is warsaw's river?"),
        Paraphrase("no_question_mark", "What is Warsaw's river"),
        Paraphrase("polite", "Can you tell me: What is Warsaw's river?"),
        Paraphrase("labelled", "Question: What is Warsaw's river?"),
        Paraphrase("contraction", "What's Warsaw's river?"),
        Paraphrase("double_spaces", "What  is  Warsaw's  river?"),
        Paraphrase("curly_apostrophe", "What is Warsaw\u2019s river?"),
    )


def test_a_rewrite_without_a_change_gives_no_wording() -> None:
    names = [wording.rewrite for wording in wordings(Query("1", "oxygen"))]
    assert names == ["original", "polite", "labelled"]


def test_given_paraphrases_come_first_and_invalid_ones_are_dropped() -> None:
    query = Query("1", "oxygen?", metadata={"paraphrases": ["O2?", "oxygen?", 3, " ", "oxygen"]})
    assert [(wording.rewrite, wording.text) for wording in wordings(query, 4)] == [
        ("original", "oxygen?"),
        ("paraphrase", "O2?"),
        ("paraphrase", "oxygen"),  # the same as no_question_mark would make
        ("polite", "Can you tell me: oxygen?"),
    ]
    assert wordings(Query("1", "x", metadata={"paraphrases": "x y"}), 1) == (
        Paraphrase("original", "x"),
    )


def test_without_rewrites_only_given_paraphrases_are_asked() -> None:
    query = Query("1", "oxygen?", metadata={"paraphrases": ["O2?"]})
    assert wordings(query, rewrites=False) == (
        Paraphrase("original", "oxygen?"),
        Paraphrase("paraphrase", "O2?"),
    )


@given(st.text(min_size=1).filter(str.strip))
def test_wordings_are_unique_and_the_question_is_first(text: str) -> None:
    found = [wording.text for wording in wordings(Query("1", text))]
    assert found[0] == text
    assert len(set(found)) == len(found) >= 3
