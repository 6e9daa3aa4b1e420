"""Follow-ups become questions that stand alone."""

from __future__ import annotations

import pytest
from follow_ups import faults

from expertrag.conversation.rewrite import (
    MOST_EXCHANGES,
    RewritingForm,
    rewrite,
    rewritings,
    subject_of,
)
from expertrag.conversation.subject import Subject

ACT = ("What was the Securities Act of 1933?", "A law on the sale of securities in the US.")
LASIK = ("What is a good age to get LASIK?", "Between 20 and 40.")


def first(question: str, *turns: tuple[str, str]) -> tuple[str, RewritingForm]:
    """The likeliest rewriting of a question."""
    found = rewritings(question, subject_of(turns))
    return (found[0].question, found[0].form) if found else (question, RewritingForm.ALONE)


@pytest.mark.parametrize(
    ("turns", "question", "expected"),
    [
        ([ACT], "Why was it needed?", "Why was the Securities Act of 1933 needed?"),
        (
            [ACT, ("Why was it needed?", "")],
            "Is it in force?",
            "Is the Securities Act of 1933 in force?",
        ),
        (
            [("What is the default port of PostgreSQL?", "5432")],
            "How do I change it?",
            "How do I change the default port of PostgreSQL?",
        ),
        (
            [("What does VACUUM do in PostgreSQL?", "")],
            "Does it lock the table?",
            "Does VACUUM lock the table?",
        ),
        ([LASIK], "What are its benefits?", "What are LASIK's benefits?"),
        (
            [("Tell me about boer goats.", "")],
            "Are they profitable?",
            "Are boer goats profitable?",
        ),
        (
            [("Who directed Jaws?", "Steven Spielberg")],
            "When was he born?",
            "When was Steven Spielberg born?",
        ),
        (
            [("Who wrote Hamlet?", "William Shakespeare")],
            "When was it written?",
            "When was Hamlet written?",
        ),
        (
            [("What are some advantages of Linux?", ""), ("How does it compare to Windows?", "")],
            "Which of these is more popular?",
            "Which of Linux and Windows is more popular?",
        ),
        (
            [("What are the characteristics of carbohydrates?", "")],
            "What are they composed of?",
            "What are carbohydrates composed of?",
        ),
        (
            [("How are apples stored?", "In a cool place.")],
            "ok, and how are they washed?",
            "How are apples washed?",
        ),
    ],
)
def test_pronouns(turns: list[tuple[str, str]], question: str, expected: str) -> None:
    assert first(question, *turns) == (expected, RewritingForm.ANAPHORA)


@pytest.mark.parametrize(
    ("last", "question", "expected"),
    [
        (
            "What did Plessy v. Ferguson establish?",
            "How about Marbury vs Madison?",
            "What did Marbury vs Madison establish?",
        ),
        (
            "What is the average salary in the UK?",
            "What about in the US?",
            "What is the average salary in the US?",
        ),
        (
            "What's a recipe for smoked turkey soup?",
            "How about one for chili?",
            "What's a recipe for chili?",
        ),
        (
            "What are the symptoms of asthma?",
            "And bronchitis?",
            "What are the symptoms of bronchitis?",
        ),
        (
            "How do I list all databases in psql?",
            "And all tables?",
            "How do I list all tables in psql?",
        ),
        ("Is asthma inherited?", "And for hiccups?", "Is hiccups inherited?"),
        ("How old is the Rhine?", "And in dog years?", "How old is the Rhine in dog years?"),
        ("How far is it to Rome?", "In miles?", "How far is it to Rome in miles?"),
        ("What did the UK sell in 2021?", "And in 2022?", "What did the UK sell in 2022?"),
        ("What did we sell in Q2 2021?", "And a year earlier?", "What did we sell in Q2 2020?"),
        ("What did we sell in 2021?", "and the following year?", "What did we sell in 2022?"),
        ("How tall is the shed?", "And a year later?", "How tall is the shed, a year later?"),
        ("What is the fee cap of Ada Ltd?", "And of Brix?", "What is the fee cap of Brix?"),
        ("How tall is a shelf with 2 rows?", "With three?", "How tall is a shelf with three rows?"),
        ("What does error E15 mean?", "And E24?", "What does error E24 mean?"),
        ("Who leads project Heron?", "and project Osprey?", "Who leads project Osprey?"),
        ("What failed on 4 May?", "And the one on 17 June?", "What failed on 17 June?"),
        ("When is the first dose given?", "And the second?", "When is the second dose given?"),
        ("May I keep dogs in Mill Street 4?", "And cats?", "May I keep cats in Mill Street 4?"),
        ("Where do I park at the Leeds office?", "And in York?", "Where do I park in York?"),
        (
            "What are the goals of the sales team for Q2?",
            "And the design team?",
            "What are the goals of the design team for Q2?",
        ),
        (
            "What is the default port of PostgreSQL?",
            "And the default user?",
            "What is the default user of PostgreSQL?",
        ),
        (
            "When does the Rome lease end?",
            "No, I meant the Oslo one.",
            "When does the Oslo lease end?",
        ),
        ("When is DataConf 2026?", "sorry, the 2027 one", "When is DataConf 2027?"),
        (
            "How often are API keys changed?",
            "I meant certificates, not keys",
            "How often are certificates changed?",
        ),
    ],
)
def test_ellipsis(last: str, question: str, expected: str) -> None:
    assert first(question, (last, "")) == (expected, RewritingForm.ELLIPSIS)


def test_an_item_of_a_list_is_named() -> None:
    turn = ("Which are the longest rivers?", "The Volga, the Danube and the Ural.")
    assert first("and how long is the second one?", turn) == (
        "How long is the Danube?",
        RewritingForm.LISTED,
    )


def test_a_list_is_remembered_while_it_is_asked_about() -> None:
    turns = [
        ("Which are the longest rivers?", "The Volga and the Danube."),
        ("How long is the second one?", "2,850 km"),
    ]
    for follow_up in ("And the other one?", "And the first?"):
        assert first(follow_up, *turns) == ("How long is the Volga?", RewritingForm.ELLIPSIS)
    assert subject_of([*turns, LASIK]).listed == ()


def test_the_person_whom_the_last_answer_names_is_exact() -> None:
    subject = subject_of([("Who directed Jaws?", "Steven Spielberg")])
    (item,) = rewritings("When was he born?", subject)
    assert (item.threshold, item.open) == (None, False)
    assert all(item.open for item in rewritings("When was it made?", subject))


@pytest.mark.parametrize("thing", ["The paint", "the paints", "Windows", "A lease", "The Beatles"])
@pytest.mark.parametrize(
    "follow_up",
    ["What is its warranty?", "What are their uses?", "How long does it last?", "And the price?",
     "and for the other one?", "No, I meant The glue.", "Is that allowed?", "In years?"],
)  # fmt: skip
def test_rewritings_are_english(thing: str, follow_up: str) -> None:
    turns = [("What is kept in the cellar?", f"{thing}."), (f"{thing} in the cellar?", "Yes.")]
    for turn in turns:
        for item in rewritings(follow_up, subject_of([turn])):
            assert faults(item.question) == [], item.question


def test_a_bare_question_follows_the_last_one() -> None:
    assert first("Why?", ("Was it unanimous?", "No.")) == (
        "Was it unanimous? Why?",
        RewritingForm.BARE,
    )


def test_without_a_subject_evidence_decides() -> None:
    subject = subject_of([LASIK])
    question = "What kind of laser is used?"
    with_subject = f"{question} (LASIK)"
    assert rewrite(question, subject).form is RewritingForm.ALONE
    near = {question: 2.0, with_subject: 8.0}
    assert rewrite(question, subject, near.__getitem__).question == with_subject
    far = {question: 8.0, with_subject: 6.0}
    assert rewrite(question, subject, far.__getitem__).question == question


def test_a_noun_of_something_else_gets_the_subject() -> None:
    assert first("What are the risks?", LASIK) == (
        "What are the risks? (LASIK)",
        RewritingForm.NO_SUBJECT,
    )
    assert rewrite("What are the risks?", subject_of([LASIK])).form is RewritingForm.NO_SUBJECT


def test_a_question_about_something_else_gets_no_subject() -> None:
    subject = subject_of([LASIK])
    question = "Who won the football World Cup in 1998?"
    near = {question: -6.8, f"{question} (LASIK)": -2.2, LASIK[0]: 11.0}
    assert rewrite(question, subject, near.__getitem__).form is RewritingForm.ALONE


def test_evidence_rejects_a_meaning_of_a_pronoun() -> None:
    subject = subject_of([("Which file sets a port in Apache?", "httpd.conf")])
    question, first_meaning, second_meaning = (
        f"How do I reload {thing}?" for thing in ("it", "httpd.conf", "Apache")
    )
    meanings = [item.question for item in rewritings(question, subject)]
    assert meanings[:2] == [first_meaning, second_meaning]
    evidence = dict.fromkeys(meanings, 0.0) | {question: 1.0, second_meaning: 9.0}
    evidence[subject.question] = 5.0
    assert rewrite(question, subject, evidence.__getitem__).question == first_meaning
    evidence[first_meaning] = -5.0
    assert rewrite(question, subject, evidence.__getitem__).question == second_meaning
    evidence[second_meaning] = -5.0
    evidence[question] = 9.0
    assert rewrite(question, subject, evidence.__getitem__).form is RewritingForm.ALONE


@pytest.mark.parametrize(
    "question",
    [
        "What is write-ahead logging?",
        "How does LASIK work?",
        "Should I brine a turkey before smoking it?",
    ],
)
def test_questions_that_stand_alone(question: str) -> None:
    assert rewrite(question, subject_of([LASIK])).question == question


def test_a_long_message_is_no_follow_up() -> None:
    assert rewritings("Why is it so? " * 5_000, subject_of([LASIK])) == []


def test_only_the_beginning_of_long_turns_and_the_latest_exchanges_are_read() -> None:
    long = ("What is LASIK? " + "And What The Word is it? " * 10_000, "")
    assert subject_of([long]).focus.phrase == "LASIK"  # type: ignore[union-attr]
    assert subject_of([LASIK] * 200 + [ACT]) == subject_of([LASIK] * (MOST_EXCHANGES - 1) + [ACT])


def test_without_a_conversation_nothing_changes() -> None:
    assert rewritings("When was it founded?", Subject()) == []
    assert subject_of([]) == Subject()


def test_a_subject_survives_and_changes() -> None:
    turns = [("Tell me about lipids.", ""), ("What are the types?", ""), ("What are they for?", "")]
    assert subject_of(turns).focus.phrase == "lipids"  # type: ignore[union-attr]
    assert subject_of([*turns, ACT]).focus.phrase == "Securities Act of 1933"  # type: ignore[union-attr]
