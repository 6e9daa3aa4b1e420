"""A store of contracts, minutes and a policy in prose, and the context of a question about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scan_samples import DOCUMENTS, OpenContext

from expertrag.answer.context import AnswerContext, QuestionInContext, Route
from expertrag.api.types import AnswerRequest, GateMode
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
    """Opens the context of a question."""

    def open(
        question: str,
        *,
        labels: frozenset[str] | None = frozenset(),
        salt: str = "",
        should_stop: ShouldStop = never_stop,
        **options: Any,
    ) -> AnswerContext:
        view = scan_view.restrict_to(labels)
        request = AnswerRequest(question, mode=GateMode.ALWAYS, **options)
        vectors = view.searcher.encode(question, request.filter or None)
        asked = QuestionInContext(question, question, vectors=vectors)
        policy = SequencePolicy(salt=salt)
        return AnswerContext(request, asked, Route(), (), policy, view, Meter(), should_stop)

    return open
