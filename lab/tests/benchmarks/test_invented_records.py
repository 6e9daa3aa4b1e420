"""Questions about invented records: their passages hold the right values, and not those missing."""

from __future__ import annotations

from invented_records import questions
from office_questions import VERDICTS, words
from verification_rows import is_right

ASKED = list(questions(groups=60, seed=1))


def test_right_values_stand_in_the_passages() -> None:
    values = [asked for asked in ASKED if asked.right and asked.right[0] not in VERDICTS]
    assert len(values) == 120
    for asked in values:
        assert any(asked.right[0] in passage.text for passage in asked.passages)
        assert is_right(f"It is {asked.right[0]}.", asked)
        own = {*words(asked.right[0])}
        others = [wrong for wrong in asked.wrong if own.isdisjoint(words(wrong))]
        assert others
        assert not any(is_right(wrong, asked) for wrong in others)


def test_half_of_the_verdicts_are_yes() -> None:
    verdicts = [asked for asked in ASKED if asked.right and asked.right[0] in VERDICTS]
    share = sum(asked.right == ("yes",) for asked in verdicts) / len(verdicts)
    assert 0.35 < share < 0.65
    for asked in verdicts:
        right, wrong = ("Yes.", "No.") if asked.right == ("yes",) else ("No.", "Yes.")
        assert is_right(right, asked)
        assert not is_right(wrong, asked)


def test_no_answer_is_right_where_the_record_or_the_field_is_missing() -> None:
    missing = [asked for asked in ASKED if not asked.right]
    assert len(missing) == 60
    assert not any(is_right(passage.text, asked) for asked in missing for passage in asked.passages)


def test_questions_of_one_group_share_their_passages() -> None:
    by_group = {asked.group: asked.passages for asked in ASKED}
    assert len(by_group) == 60
    assert all(asked.passages == by_group[asked.group] for asked in ASKED)
