"""Decisions and costs of each policy against values computed by hand."""

from __future__ import annotations

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row
from expertrag_lab.eval.policies import outcome, parse_policies


def row(never: str, one_step: str, p_benefit: float, answers: tuple[str, ...] | None) -> Row:
    seconds = {"embed": 0.1, "search": 0.2, "generate": 3.0, "ground": 0.3}
    deciding = {"embed": 0.1, "gate": 0.05, "prefill": 0.4}
    recorded = Recorded(
        Branch(1, 0, 30, 10, {"generate": 1.0}, relevant_support=0.2),
        Branch(1, 1, 900, 12, seconds, relevant_support=0.6),
        GateRecord("g", p_benefit, 0.5, {}, 1, 30, 6, deciding),
    )
    return Row("q", "?", answers, never, one_step, recorded=recorded)


RIGHT_OPEN = row("wrong", "right", 0.5, ("right",))


def test_auto_that_retrieves_pays_for_gate_and_search() -> None:
    auto = outcome("auto", RIGHT_OPEN)
    assert auto.retrieved
    assert auto.output == "right"
    assert (auto.lm_calls, auto.retrieval_calls) == (2, 1)
    assert (auto.prompt_tokens, auto.completion_tokens) == (930, 18)
    assert auto.stage_seconds == pytest.approx(  # the embedding is computed once
        {"embed": 0.1, "gate": 0.05, "prefill": 0.4, "search": 0.2, "generate": 3.0, "ground": 0.3}
    )


def test_auto_that_stays_closed_book_reuses_the_prefill() -> None:
    auto = outcome("auto", row("wrong", "right", 0.49, ("right",)))
    assert not auto.retrieved
    assert (auto.lm_calls, auto.retrieval_calls, auto.prompt_tokens) == (1, 0, 30)
    assert auto.stage_seconds == pytest.approx({"embed": 0.1, "gate": 0.05, "generate": 1.0})


def test_forced_policies_do_not_pay_for_the_gate() -> None:
    assert outcome("never", RIGHT_OPEN).stage_seconds == {"generate": 1.0}
    always = outcome("always", RIGHT_OPEN)
    assert (always.lm_calls, always.output) == (1, "right")


@pytest.mark.parametrize(
    ("never", "one_step", "answers", "retrieved"),
    [
        ("wrong", "right", ("right",), True),
        ("right", "right", ("right",), False),
        ("right", "wrong", ("right",), False),
        ("wrong", "wrong", ("right",), False),
        ("any", "thing", (), False),
        ("any", "thing", None, True),  # by the support of the relevant documents
    ],
)
def test_the_oracle_retrieves_only_where_it_helps(
    never: str, one_step: str, answers: tuple[str, ...] | None, retrieved: bool
) -> None:
    assert outcome("oracle", row(never, one_step, 0.0, answers)).retrieved is retrieved


def test_names_of_policies() -> None:
    assert parse_policies("auto, never,auto") == ("auto", "never")
    with pytest.raises(InvalidArgument, match="unknown policy 'sometimes'; choose from never"):
        parse_policies("never,sometimes")
    with pytest.raises(InvalidArgument, match="eval record"):
        outcome("never", Row("q", "?", ("x",), "a", "b"))
