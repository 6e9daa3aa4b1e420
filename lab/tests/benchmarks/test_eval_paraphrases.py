"""`make lab-eval-consistency`: which questions are paraphrases, and what is compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from eval_paraphrases import compared, rows
from paraphrase_questions import reworded

from expertrag_lab.data.datasets import Dataset, Query
from expertrag_lab.eval.paraphrase import ORIGINAL, PARAPHRASE
from expertrag_lab.eval.replies import ParaphraseReply, Replies

AIR = Query("1", "Who proved that air is necessary for combustion?", ("Boyle",))


def dataset(name: str, **asked: tuple[Query, ...]) -> Dataset:
    """Make a data set; ``asked``: the questions by the document that answers them."""
    grades = {query.id: {document: 1} for document, some in asked.items() for query in some}
    queries = tuple(query for some in asked.values() for query in some)
    return Dataset(name, Path(), "test", queries, grades, (), "")


def texts(query: Query) -> list[str]:
    found: list[str] = query.metadata["paraphrases"]
    return found


def test_two_people_asked_the_same_of_one_paragraph() -> None:
    text = "Which researcher showed that air is necessary for combustion?"
    same = Query("2", text, ("Robert Boyle", "Boyle"))
    other = Query("3", "Who proved that air is necessary for combustion to occur?", ("Mayow",))
    typed = Query("4", AIR.text.lower(), ("Boyle",))
    (found,) = reworded(dataset("squad2", d=(AIR, typed, other, same)), "people", 9)
    assert (found.id, texts(found)) == ("1", [text])
    assert found.answers == ("Boyle", "Robert Boyle", "Boyle")
    assert reworded(dataset("squad2", d=(AIR, other), e=(same,)), "people", 9) == ()


def test_a_relation_is_asked_in_other_patterns() -> None:
    asked = Query("1", "Who was the director of City of Light?", metadata={"prop": "director"})
    (found,) = reworded(dataset("popqa", d=(asked,)), "patterns", 9)
    assert len(texts(found)) == 4
    assert texts(found)[1] == "By whom was City of Light directed?"


def test_written_paraphrases_belong_to_questions_by_id() -> None:
    asked = Query("53a80eccefe29fdd114daa7df", "What does Warsaw host many of?")
    (found,) = reworded(dataset("squad2", d=(asked, AIR)), "written", 9)
    assert texts(found)[0] == "Warsaw hosts many of what?"


def test_spelling_draws_questions_as_they_are() -> None:
    assert reworded(dataset("squad2", d=(AIR,)), "spelling", 9) == (AIR,)


def replies(*said: str) -> list[Replies]:
    """Make a question whose wordings have these answers."""
    kinds = (ORIGINAL, *[PARAPHRASE] * len(said))
    made = [
        ParaphraseReply(kind, text, True, 0.9, text)
        for kind, text in zip(kinds, said, strict=False)
    ]
    return [Replies("1", "Who?", ("Ada",), tuple(made))]


def test_both_wordings_are_compared_on_the_same_questions() -> None:
    found = compared({"people": replies("Ada", "Boris")}, {"people": replies("Ada", "ada")})
    figures = found["people"]["measures"]
    assert (found["people"]["questions"], found["people"]["wordings"]) == (1, 2)
    assert figures["answer_consistency"]["before"]["mean"] == 0.0
    assert figures["answer_consistency"]["after"]["mean"] == 1.0
    assert figures["answer_consistency"]["reached"] is True
    assert figures["accuracy"]["change"]["mean"] == pytest.approx(0.5)
    assert any("answer_consistency" in row for row in rows("m", found))
