"""The prompt that writes a follow-up as a question that stands alone."""

from __future__ import annotations

from follow_ups import read_follow_ups

from expertrag.llm.standalone import standalone_question


def test_the_model_sees_the_latest_exchanges_and_begins_its_turn() -> None:
    said = [(f"Question {number}?", f"{number} " + "word " * 100) for number in range(4)]
    *_, shown, begun = standalone_question("And why?", said)
    assert begun.role == "assistant"
    assert [number for number in range(4) if f"Question {number}?" in shown.content] == [2, 3]
    assert len(shown.content) < 600
    assert shown.content.endswith("User: And why?")


def test_the_examples_are_the_same_for_all_so_that_they_are_cached() -> None:
    one, other = standalone_question("Why?", [("A?", "B")]), standalone_question("Who?", [])
    assert one[:-2] == other[:-2]
    assert [message.role for message in one[1:]] == ["user", "assistant"] * (len(one) // 2)


def test_no_example_is_in_the_evaluation() -> None:
    shown = " ".join(message.content for message in standalone_question("?", []))
    assert [one for one in read_follow_ups() if one.history[0].text in shown] == []
