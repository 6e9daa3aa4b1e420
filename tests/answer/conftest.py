"""Whole answers of the real pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from company_tables import COMPANY
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.loaders.load import load
from expertrag_index.types import LoadFailure
from expertrag_retriever.encoder import SentenceTransformerEmbedder

Answered = Callable[[TellingGenerator, AnswerRequest], Answer]


@pytest.fixture
def answered(open_pipeline: OpenPipeline) -> Answered:
    """Answers a request with a scripted model."""
    return lambda model, request: fold(open_pipeline(model).answer(request))


@pytest.fixture(scope="session")
def company_store(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceTransformerEmbedder
) -> Path:
    """A store of expenses, incidents, a report and a secret table."""
    folder = tmp_path_factory.mktemp("company")
    for name, text in COMPANY.items():
        (folder / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "docs" / name).write_text(text)
    failures: list[LoadFailure] = []
    limits = ReadLimits(labels_field="labels")
    with IndexWriter.open(folder / "store", embedder) as writer:
        writer.build(load([folder / "docs"], on_failure=failures.append, limits=limits))
    assert not [failure for failure in failures if not failure.notice]
    return folder / "store"
