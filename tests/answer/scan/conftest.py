"""A store of contracts, minutes and a policy in prose, and the context of a question about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scan_samples import DOCUMENTS, OpenContext

from expertrag.answer.context import AnswerContext, QuestionInContext, Route
from expertrag.answer.question_set import QuestionSet
from expertrag.api.types import AnswerRequest, GateMode, QuestionScope
from expertrag.llm.base import ShouldStop, never_stop
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.runtime.meter import Meter
from expertrag.stores.served_index import View
from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_retriever.calibrate import calibrator


@pytest.fixture(scope="session")
def scan_view(tmp_path_factory: pytest.TempPathFactory, embedder: Any) -> Iterator[View]:
    path: Path = tmp_path_factory.mktemp("scanned") / "store"
    with IndexWriter.open(path, embedder, calibrate=calibrator(embedder)) as writer:
        writer.build(DOCUMENTS, failures=[])
    with Index.open(path) as index:
        yield View.of(embedder, index)


@pytest.fixture
def ask(scan_view: View) -> OpenContext:
    """Opens the context of a question about a family of documents."""

    def open(
        question: str,
        *,
        family: str = "contracts",
        labels: frozenset[str] | None = frozenset(),
        salt: str = "",
        should_stop: ShouldStop = never_stop,
        **options: Any,
    ) -> AnswerContext:
        view = scan_view.restrict_to(labels)
        request = AnswerRequest(question, mode=GateMode.ALWAYS, **options)
        vectors = view.searcher.encode(question, request.filter or None)
        asked = QuestionInContext(question, question, vectors=vectors)
        context = AnswerContext(
            request, asked, Route(), (), SequencePolicy(salt=salt), view, Meter(), should_stop
        )
        database = view.index.tables(request.filter or None)
        table = next(one for one in database.tables if family in one.names)
        documents = database.documents_of(table.name)
        about = QuestionSet(QuestionScope.LIST, family=documents, name=family)
        return replace(context, asks_about=about)

    return open
