"""The judge of eval-office, and its figures against values computed by hand."""

from __future__ import annotations

import pytest
from eval_office import chosen
from office_answers import Row
from office_figures import figures
from office_questions import OfficeQuestion, gives_wrong, is_right, questions, words

from expertrag.api.turns import Turn


def asked(
    identifier: str, kind: str, *answers: str, wrong: tuple[str, ...] = (), form: str = ""
) -> OfficeQuestion:
    documents = ("a.docx",) if answers else ()
    return OfficeQuestion(
        identifier, f"{identifier}?", kind, "test", answers, wrong, documents, form
    )


def said(
    item: OfficeQuestion, text: str, *, reason: str = "", support: float = 0.9, cited: bool = True
) -> Row:
    citation = {"document": "a.docx", "passage": 1, "quote": "…", "score": 1.0}
    return Row(
        id=item.id,
        mode="auto",
        kind=item.kind,
        half=item.half,
        question=item.text,
        rewritten="",
        answer=text or "The documents do not hold an answer to this question.",
        finish_reason="stop" if text else "abstained",
        from_documents=bool(text) and item.kind != "general",
        citations=(citation,) if cited and text else (),
        support=support,
        p_sufficient=None,
        unsupported_reason=reason,
        passages=("a.docx",),
        texts=("…",),
        action="retrieve",
        p_benefit=0.5,
        stage_seconds={},
        seconds=1.5,
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("€1,200", "1200 euros"),
        ("EUR 4.20", "4.2 Euro"),
        ("6 months", "six months"),
        ("10 %", "10 percent"),
        ("01:15", "1:15"),
        ("the 12th", "the 12"),
    ],
)
def test_the_same_value_in_other_words(one: str, other: str) -> None:
    assert sorted(words(one)) == sorted(words(other))


def test_other_values_stay_apart() -> None:
    assert words("28") != words("128")
    assert words("-4") != words("4")
    assert words("T-05, 3 and 14") == ["t", "5", "3", "and", "14"]
    assert words("€70") != words("70 %")


VERSION = asked("a", "version", "28 days", "28", wrong=("25", "30"))


@pytest.mark.parametrize(
    ("answer", "right", "outdated"),
    [
        ("You get 28 days.", True, False),
        ("28 days; the version of 2023 said 25.", True, False),
        ("The 25 days were replaced by 28 days.", True, False),
        ("25 days.", False, True),
        ("25 or 28 days.", False, True),
        ("28 and 25 days.", False, True),
        ("128 days.", False, False),
    ],
)
def test_a_superseded_value_needs_a_word_that_says_so(
    answer: str, right: bool, outdated: bool
) -> None:
    assert is_right(VERSION, answer, abstained=False) is right
    assert gives_wrong(VERSION, answer) is outdated


def test_of_two_values_of_a_table_the_first_counts() -> None:
    item = asked("a", "table", "310", wrong=("890",))
    assert is_right(item, "It costs €310 internally, and €890 for others.", abstained=False)
    assert not is_right(item, "It costs €890; internally €310.", abstained=False)


def test_a_verdict_at_the_beginning_decides() -> None:
    item = asked("a", "yesno", "no", "voluntary")
    assert is_right(item, "No, it is not.", abstained=False)
    assert is_right(item, "It is voluntary.", abstained=False)
    assert not is_right(item, "Yes, though it is voluntary.", abstained=False)


def test_only_an_abstention_is_right_without_an_answer() -> None:
    for kind in ("us_missing", "unanswerable"):
        assert is_right(asked("a", kind), "Nothing is said about it.", abstained=True)
        assert not is_right(asked("a", kind), "Ms Doe.", abstained=False)
    assert not is_right(VERSION, "28 days", abstained=True)


def test_any_answer_to_small_talk_is_right() -> None:
    item = OfficeQuestion("a", "hi", "general", "test", None)
    assert is_right(item, "Hello!", abstained=False)
    assert not is_right(item, "The documents do not hold an answer.", abstained=True)


def test_a_conversation_is_part_of_the_question() -> None:
    history = [{"role": "user", "content": "How long is the K80?"}]
    item = OfficeQuestion.parsed(
        {"id": "f", "question": "and the K120?", "kind": "followup", "half": "test"}
        | {"answers": ["2"], "history": history}
    )
    assert item.history == (Turn.user("How long is the K80?"),)
    assert item.text == "How long is the K80?\nand the K120?"


def test_figures_count_answers_as_a_user_sees_them() -> None:
    fact, table = asked("b", "fact", "Wim"), asked("c", "table", "5", wrong=("7",), form="pdf")
    ours = asked("d", "us_missing")
    auto = [
        (VERSION, said(VERSION, "25 days")),
        (fact, said(fact, "Wim")),
        (table, said(table, "7", reason="'7' is not in the passage", support=0.2)),
        (ours, said(ours, "")),
    ]
    strict = [
        (VERSION, said(VERSION, "28 days")),
        (fact, said(fact, "")),
        (table, said(table, "7")),
        (ours, said(ours, "")),
    ]
    result = {item.name: item.after for item in figures({"auto": auto, "strict": strict})}
    means = {name: round(item.mean, 2) for name, item in result.items() if item}
    expected = {
        "auto: the document is among the passages": 1.0,
        "auto: right where the document is found": 0.33,
        "auto: wrong with a citation and no warning": 0.33,
        "auto: superseded value given": 1.0,
        "auto: tables right, pdf": 0.0,
        "auto: abstains, about us and not in the documents": 1.0,
        "support: AUROC of right against wrong": 0.75,
        "support: warned, right answers": 0.0,
        "support: warned, wrong answers": 0.5,
        "strict: right, of the answers given": 0.5,
        "strict: answered, answerable": 0.67,
        "strict: abstains, no answer in the share": 1.0,
    }
    assert {name: means[name] for name in expected} == expected
    interval = result["auto: right where the document is found"]
    assert interval is not None
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.061, 0.792)  # Wilson, 1 of 3


def test_a_limit_draws_the_same_questions_of_each_kind_again() -> None:
    some = chosen(questions(), ("test",), ("fact", "table"), 3)
    assert [item.kind for item in some] == ["fact"] * 3 + ["table"] * 3
    assert some == chosen(questions(), ("test",), ("fact", "table"), 3)
    assert {item.half for item in some} == {"test"}
