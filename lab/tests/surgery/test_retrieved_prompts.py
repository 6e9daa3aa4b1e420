"""Rows of held-out prompts, losses that are compared, and routers, all checked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.llm.prompt import NOT_FOUND, Reply
from expertrag_lab.surgery.retrieved_prompts import RetrievedPrompt, parse_prompt, read_prompts
from expertrag_lab.surgery.verification.answer_figures import answer_figures, losses, same_replies
from expertrag_lab.surgery.verification.held_answers import HeldAnswer
from expertrag_lab.surgery.verification.loss_change import loss_change
from expertrag_lab.surgery.verification.router_agreement import agreement
from expertrag_lab.surgery.verification.router_comparison import members_of

ROW: dict[str, Any] = {
    "question": "Where was Ada born?",
    "passages": [{"title": "Ada", "text": "Ada was born in Bergen."}, "Boris was born in Cadiz."],
    "answer": "Bergen",
}


def test_a_row_cites_the_passages_that_hold_its_answer() -> None:
    found = parse_prompt(ROW, "line 1")
    assert (found.id, found.accepted, found.cited, found.domain) == (
        "line 1",
        ("Bergen",),
        (1,),
        "",
    )
    assert found.reply.text == "Bergen [1]"
    assert [item.title for item in found.passages] == ["Ada", ""]
    given = parse_prompt({**ROW, "accepted": ["Bjørgvin"], "cited": [2], "domain": "x"}, "")
    assert (given.accepted, given.cited, given.domain) == (("Bergen", "Bjørgvin"), (2,), "x")
    assert parse_prompt({**ROW, "answer": None}, "").reply.text == NOT_FOUND


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, "question is not a text"),
        ({"answer": 4}, "answer is neither a text nor null"),
        ({"passages": []}, "passages is empty"),
        ({"passages": "x"}, "passages is not a list"),
        ({"passages": [{"title": "x"}]}, "passage 1 has no text"),
        ({"accepted": "x"}, "accepted is not a list"),
        ({"cited": [3]}, "not of one of its 2 passages"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps({**ROW, **change})}\n")
    with pytest.raises(InvalidArgument, match=f"rows.jsonl line 2: .*{message}"):
        read_prompts(path)


@pytest.mark.parametrize("field", ["question", "passages", "answer"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} is missing$"):
        parse_prompt({name: value for name, value in ROW.items() if name != field}, "")


def test_rows_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({**ROW, "id": str(n)}) + "\n" for n in range(20)))
    assert len(read_prompts(path)) == 20
    some = [item.id for item in read_prompts(path, 5, seed=1)]
    assert len(some) == 5 and some == [item.id for item in read_prompts(path, 5, seed=1)]
    path.write_text("")
    with pytest.raises(InvalidArgument, match="has no rows"):
        read_prompts(path)
    with pytest.raises(NotFound):
        read_prompts(tmp_path / "none.jsonl")


def test_a_loss_is_compared_by_token_and_paired_by_prompt() -> None:
    found = loss_change([4.0, 2.0], [5.0, 2.2], [4, 2])
    assert (found.prompts, found.tokens) == (2, 6)
    assert found.before == pytest.approx(1.0) and found.after == pytest.approx(1.2)
    assert found.relative.mean == pytest.approx(0.2)
    # a resample has both prompts, or one of them twice
    assert found.relative.low == pytest.approx(0.1) and found.relative.high == pytest.approx(0.25)
    even = loss_change([1.0, 2.0, 3.0], [1.1, 2.2, 3.3], [1, 1, 1]).relative
    assert even.low == pytest.approx(0.1) and even.high == pytest.approx(0.1)
    with pytest.raises(ValueError, match="not above zero"):
        loss_change([0.0], [1.0], [1])
    with pytest.raises(ValueError, match="0 losses"):
        loss_change([], [], [])


def _answer(text: str, loss: float | None, doubt: float | None = None) -> HeldAnswer:
    return HeldAnswer(loss, 2, Reply.of(text), doubt)


def test_figures_are_those_of_the_evaluation() -> None:
    prompts = [
        RetrievedPrompt("1", "?", (), "Bergen", ("Bergen",), (1,), "a"),
        RetrievedPrompt("2", "?", (), "Cadiz", ("Cadiz",), (2,), "b"),
        RetrievedPrompt("3", "?", (), None, (), (), "a"),
    ]
    before = [
        _answer("Bergen [1]", 1.0, 0.1),
        _answer("Cadiz [2]", 1.0, 0.2),
        _answer(NOT_FOUND, 1.0, 0.9),
    ]
    after = [
        _answer("In Bergen [1][2]", 2.0, 0.3),
        _answer("Dover [2]", 1.0, 0.2),
        _answer("Ghent", 1.5, 0.25),
    ]
    found = {item.name: item for item in answer_figures(prompts, before, after)}
    assert {name: (item.before, item.after) for name, item in found.items()} == {
        "accuracy": (1.0, 0.5),
        "exact match": (1.0, 0.0),
        "F1": (1.0, pytest.approx(1 / 3)),
        "citations": (1.0, 0.75),
        "abstention AUROC": (1.0, 0.5),
    }
    assert same_replies(before, after).mean == 0.0
    assert same_replies(before, [before[0], *after[1:]]).mean == pytest.approx(1 / 3)
    whole, domains = losses(prompts, before, after)
    assert whole is not None and whole.relative.mean == pytest.approx(0.5)
    assert domains["a"].relative.mean == pytest.approx(0.75)
    assert domains["b"].relative.mean == 0.0
    plain = [HeldAnswer(None, 0, Reply("x"), None)] * 3
    assert losses(prompts, plain, plain) == (None, {})
    assert answer_figures(prompts, plain, plain)[-1].before is None


def test_routers_agree_by_the_experts_before() -> None:
    before = [(torch.tensor([[0, 3], [1, 2]]),)]
    after = [(torch.tensor([[0, 1], [1, 2]]),)]
    # kept experts 0, 2, 3: the first token has 0 and 2 now (0 and 3 before), the second 2 and 3
    kept = SimpleNamespace(expertrag_surgery=[{"experts": [[0, 2, 3]]}])
    members = members_of(SimpleNamespace(), kept, 1, 4)
    assert members is not None
    assert agreement(before, after, members).tolist() == [0.5]
    # then 0 and 3 are merged: the first token has {0, 3} and 2
    steps = [*kept.expertrag_surgery, {"experts": [[[0, 2], [1]]]}]
    members = members_of(SimpleNamespace(), SimpleNamespace(expertrag_surgery=steps), 1, 4)
    assert members is not None
    assert members[0].tolist() == [[True, False, False, True], [False, False, True, False]]
    merged = [(torch.tensor([[0, 1], [1, 0]]),)]
    assert agreement(before, merged, members).tolist() == [0.5]
    line = members_of(kept, SimpleNamespace(expertrag_surgery=steps), 1, 3)
    assert line is not None and line[0].shape == (2, 3)
    assert members_of(kept, SimpleNamespace(), 1, 3) is None
