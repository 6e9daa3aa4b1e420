"""What a question about a set is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.answer.question_set import ONE_FACT, find_set
from expertrag.api.types import AnswerRequest, QuestionScope
from expertrag_index.store.index import Index


@pytest.mark.parametrize(
    ("question", "scope", "table", "family"),
    [
        ("How many incidents happened in May 2026?", QuestionScope.COUNT, "incidents", False),
        ("What did we spend on travel in Q2 2026?", QuestionScope.AGGREGATE, "expenses", False),
        ("How many incidents were caused by the weather?", QuestionScope.COUNT, "", True),
        ("How high is the mountain?", QuestionScope.LOOKUP, "", False),
    ],
)
def test_a_table_or_a_family(
    company_store: Path, question: str, scope: QuestionScope, table: str, family: bool
) -> None:
    with Index.open(company_store) as index:
        about = find_set(AnswerRequest(question), index)
    assert about.scope is scope
    assert (about.table.table.name if about.table else "") == table
    assert bool(about.family) is family


def test_the_caller_decides(company_store: Path) -> None:
    with Index.open(company_store) as index:
        question = "How many incidents happened in May 2026?"
        request = AnswerRequest(question, scope=QuestionScope.LOOKUP)
        assert find_set(request, index) == ONE_FACT
