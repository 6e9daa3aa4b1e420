"""What a question about a set is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.answer.question_set import ONE_FACT, find_rows, find_set
from expertrag.answer.scope import recognise_scope
from expertrag.api.types import AnswerRequest, QuestionScope
from expertrag_index.store.index import Index
from expertrag_retriever.search import to_passage

INCIDENTS = [f"incidents/INC-{number}.md" for number in range(1, 4)]
ROWS = [f"expenses.csv#{number}" for number in range(1, 6)]


def find_nothing() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("question", "scope", "table"),
    [
        ("How many incidents happened in May 2026?", QuestionScope.COUNT, "incidents"),
        ("What did we spend on travel in Q2 2026?", QuestionScope.AGGREGATE, "expenses"),
        ("How high is the mountain?", QuestionScope.LOOKUP, ""),
    ],
)
def test_a_table_that_the_words_name(
    company_store: Path, question: str, scope: QuestionScope, table: str
) -> None:
    with Index.open(company_store) as index:
        about = find_set(AnswerRequest(question), recognise_scope(question), index, find_nothing)
    assert about.scope is scope
    assert [link.table.name for link in about.tables] == ([table] if table else [])
    assert not about.family


def test_a_family_is_read_if_no_query_of_its_fields_answers(company_store: Path) -> None:
    with Index.open(company_store) as index:
        request = AnswerRequest("How many incidents were caused by the weather?")
        about = find_set(request, recognise_scope(request.question), index, lambda: INCIDENTS)
    assert [link.table.name for link in about.tables][:1] == ["incidents"]
    assert len(about.family) == 3


@pytest.mark.parametrize(
    ("documents", "tables"), [(ROWS, ["expenses"]), (ROWS[:1] + INCIDENTS, [])]
)
def test_a_fact_is_computed_if_most_passages_are_rows(
    company_store: Path, documents: list[str], tables: list[str]
) -> None:
    request = AnswerRequest("Where did Ada Lund go?")
    with Index.open(company_store) as index:
        passages = [to_passage(index.catalog.chunks(id)[0]) for id in documents]
        about = find_rows(request, QuestionScope.LOOKUP, index, passages)
    assert [link.table.name for link in (about.tables if about else ())] == tables


def test_the_caller_decides(company_store: Path) -> None:
    with Index.open(company_store) as index:
        question = "How many incidents happened in May 2026?"
        request = AnswerRequest(question, scope=QuestionScope.LOOKUP)
        assert (
            find_set(
                request,
                recognise_scope(request.question),
                index,
                lambda: pytest.fail("it searched"),
            )
            == ONE_FACT
        )
