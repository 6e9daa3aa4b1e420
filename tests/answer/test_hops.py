"""Questions of two hops, split into two questions."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag.answer.hops import name_in, read_parts
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode, QuestionScope


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("Ada Lund", "Ada Lund"),
        ("Ada Lund is the author of the plan.", "Ada Lund"),
        ("Ada Lund wrote the fire plan for the harbour.", "Ada Lund"),
        ("Fire and Plan Ltd", "Fire and Plan Ltd"),
        ("Istanbul.", "Istanbul"),
        ("", ""),
    ],
)
def test_the_name_in_an_answer(answer: str, name: str) -> None:
    assert name_in(answer, "Who wrote the fire plan?") == name


QUESTION = "Who is our contact at the yard where the Heron was built?"


@pytest.mark.parametrize(
    ("first", "then", "parts"),
    [
        (
            "Where was it built?",
            "Who is the contact at {answer}?",
            ("Where was it built?", "Who is the contact at {answer}?"),
        ),
        (
            QUESTION,  # the model repeats it
            "Who is the contact at {answer}?",
            ("the yard where the Heron was built?", "Who is the contact at {answer}?"),
        ),
        (
            "Where was it built?",
            "Who is our contact there?",
            ("Where was it built?", "{answer}: Who is our contact there?"),
        ),
        (QUESTION, "Who is our contact there?", None),
        ("Where was it built?", "Is {answer} the contact of {answer}?", None),
    ],
)
def test_the_parts_that_a_model_writes(
    first: str, then: str, parts: tuple[str, str] | None
) -> None:
    assert read_parts(QUESTION, first, then) == parts


def test_a_model_that_is_too_small_answers_from_both_searches(
    open_pipeline: OpenPipeline, company_store: Path
) -> None:
    pipeline = open_pipeline(TellingGenerator("Maud Okonjo."), store=company_store)
    request = AnswerRequest(
        "Who leads the move of the warehouse whose cost the board has agreed to?",
        mode=GateMode.ALWAYS,
        scope=QuestionScope.TWO_HOPS,
    )
    answer = fold(pipeline.answer(request))
    assert answer.text.startswith("Maud Okonjo")
    assert answer.decision.scope is QuestionScope.TWO_HOPS
    assert answer.usage.retrieval_calls > 1
