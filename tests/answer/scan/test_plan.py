"""Plans of questions: what the lines that the model writes say."""

from __future__ import annotations

import pytest
from scan_samples import TODAY, OpenContext

from expertrag.answer.scan.plan import Attribute, Computed, parse_plan, read_plan
from expertrag.answer.scan.values import Kind
from expertrag.api.types import QuestionScope
from expertrag.llm.backends.transformers_backend import TransformersGenerator


def _plan(question: str, *read: str, compute: str = "list") -> tuple[str, ...]:
    lines = ["Documents: contracts", f"Compute: {compute}", *(f"Read: {line}" for line in read)]
    plan = parse_plan("\n".join(lines), question, TODAY)
    return tuple(f"{a.kind} {a.name} {a.condition or ''}".strip() for a in plan.attributes)


@pytest.mark.parametrize(
    ("question", "read", "attribute"),
    [
        ("Which end in 2026?", "date; end date; is 2026", "date end date is 2026"),
        ("Which end next year?", "date; end date; is next year", "date end date is next year"),
        ("Do all renew?", "yesno; Does it renew?; yes", "yesno Does it renew? is yes"),
        ("Which do not renew?", "yesno; Does it renew?; no", "yesno Does it renew? is no"),
        ("Sum of the fees?", "money; fee; any", "money fee"),
        ("Which are not by Mia?", "name; author; is not Mia", "name author is not Mia"),
    ],
)
def test_a_line_is_an_attribute(question: str, read: str, attribute: str) -> None:
    assert _plan(question, read) == (attribute,)


def test_a_condition_that_cannot_be_read_is_asked_as_yes_or_no() -> None:
    read = _plan("Which end at Easter?", "date; end date; is Easter")
    assert read == ("yesno Is the end date is Easter? is yes",)


def test_a_value_of_the_question_without_a_condition_gets_one() -> None:
    question = "What is the average fee of contracts that end before July 2025?"
    read = _plan(question, "money; fee; any", "date; end date; any", compute="average")
    assert read == ("money fee", "date end date before July 2025")


def test_lines_that_are_cut_or_repeated_are_left_out() -> None:
    assert _plan("Fees?", "money; fee; any", "money; Fee; any", "mon") == ("money fee",)


def test_the_plan_says_what_is_computed() -> None:
    written = "Documents: contracts\nCompute: largest\nRead: date; end date; any"
    plan = parse_plan(written, "Which contract ends last?", TODAY)
    assert plan.computed is Computed.LARGEST
    assert plan.measured == Attribute("end date", Kind.DATE)
    assert str(plan) == "contracts: end date"
    assert parse_plan("", "?", TODAY).attributes == ()


def test_any_model_writes_a_plan_of_the_question_s_own_words(
    ask: OpenContext, smollm: TransformersGenerator
) -> None:
    question = 'How many "contracts" end\nbefore 2026?'
    context = ask(question)
    plan = read_plan(context, smollm, QuestionScope.COUNT, TODAY)
    assert plan.noun in question.replace("\n", " ")
    assert plan.computed is Computed.COUNT
    assert context.meter.usage().lm_calls == 1
