"""A light embedder for the tests of the store, processes to kill, and documents of files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_helper import Child, HashingEmbedder
from tokenizers import Tokenizer

from expertrag_index.build.chunk import CountTokens
from expertrag_index.loaders import ReadLimits, load
from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.parse import parse
from expertrag_index.types import Document, LoadFailure


@pytest.fixture
def hashing() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.close()


@pytest.fixture(scope="session")
def count_word_pieces(minilm_path: Path) -> CountTokens:
    tokenizer = Tokenizer.from_file(str(minilm_path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]


def load_whole(path: Path) -> list[Document]:
    """Load a file or folder without a failure."""
    failures: list[LoadFailure] = []
    documents = list(load([path], on_failure=failures.append))
    assert [failure for failure in failures if not failure.notice] == []
    return documents


def load_all(*paths: Path, limit: int = 64 * 1024) -> tuple[list[Document], list[LoadFailure]]:
    failures: list[LoadFailure] = []
    documents = list(
        load(paths, on_failure=failures.append, limits=ReadLimits(max_file_bytes=limit))
    )
    for failure in failures:
        assert "\n" not in failure.reason + failure.cure
        assert failure.reason
        assert failure.cure
    return documents, failures


def parsed(path: Path, content: str | bytes) -> tuple[list[Document], list[LoadFailure]]:
    """Write a file, and parse it in this process, as a worker does."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    file = SourceFile(path, path.name, path.name, None, 2**20)
    documents: list[Document] = []
    failures: list[LoadFailure] = []
    for item in parse(file):
        if isinstance(item, Document):
            documents.append(item)
        else:
            failures.append(item)
    return documents, failures


def text_of(path: Path, content: str | bytes) -> str:
    """Write a file that is one document, parse it, and return its text."""
    (document,), failures = parsed(path, content)
    assert [failure for failure in failures if not failure.notice] == []
    return document.text


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()
