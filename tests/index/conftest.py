"""A light embedder for the tests of the store, and documents of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_helper import HashingEmbedder

from expertrag_index.loaders import load
from expertrag_index.types import Document, LoadFailure


@pytest.fixture
def hashing() -> HashingEmbedder:
    return HashingEmbedder()


def load_whole(path: Path) -> list[Document]:
    """Load a file or folder without a failure."""
    failures: list[LoadFailure] = []
    documents = list(load([path], on_failure=failures.append))
    assert [failure for failure in failures if not failure.notice] == []
    return documents
