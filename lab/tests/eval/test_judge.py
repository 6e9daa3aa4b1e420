"""The judge: labelled, replies other than yes or no counted, and asked once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from serving_fixtures import TellingGenerator

from expertrag.api.errors import Unavailable
from expertrag.llm.base import Message
from expertrag_index.types import silent
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row, RowSet
from expertrag_lab.eval.judge import judge_report, judge_rows

RECORDED = Recorded(Branch(), Branch(), GateRecord("g", 1.0, 0.5))
ROWS = RowSet(
    "set",
    (
        Row("1", "colour?", ("red",), "blue", "red", recorded=RECORDED),
        Row("2", "number?", ("two",), "unclear", "the pair", recorded=RECORDED),
        Row("3", "nothing?", (), "a", "b", recorded=RECORDED),
    ),
    (),
    "hash",
)
SAYS = {"blue": "No.", "red": "Yes, it does.", "unclear": "Perhaps", "the pair": "yes"}


class Judge(TellingGenerator):
    """Gives the scripted reply for the output in its prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def reply_to(self, messages: Sequence[Message]) -> str:
        output = messages[-1].content.split("Given answer: ")[1].split("\n")[0]
        self.asked.append(output)
        return SAYS[output]


def test_verdicts_are_counted_and_cached(tmp_path: Path) -> None:
    judge = Judge()
    verdicts = judge_rows([ROWS], judge, tmp_path, silent)
    assert sorted(judge.asked) == sorted(SAYS)
    report = judge_report("strict-judge", [ROWS], ("never", "always"), verdicts)
    assert report["name"] == "strict-judge"
    assert report["pooled"] == report["sets"]["set"]  # type: ignore[call-overload,index]  # JSON
    assert report["pooled"] == {
        "never": {"accuracy": 0.0, "agreement": 1.0, "n": 1, "unparsed": 1},
        "always": {"accuracy": 1.0, "agreement": 0.5, "n": 2, "unparsed": 0},
    }
    again = Judge()
    assert judge_rows([ROWS], again, tmp_path, silent) == verdicts
    assert again.asked == []


def test_a_judge_that_fails(tmp_path: Path) -> None:
    class Gone(Judge):
        def reply_to(self, messages: Sequence[Message]) -> str:
            raise Unavailable("no route")

    with pytest.raises(Unavailable, match="last with: no route"):
        judge_rows([ROWS], Gone(), tmp_path, silent)
