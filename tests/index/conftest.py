"""Fixtures for the store: a small corpus, a light embedder, and the content of a store by value."""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from expertrag_index.types import Document

HERE = Path(__file__).parent


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_embedder() -> Callable[..., object]:
    """The class of the hashing embedder."""
    embedder: Callable[..., object] = _load("store_helper").HashingEmbedder
    return embedder


@pytest.fixture(scope="session")
def make_experts() -> Callable[..., object]:
    """The class of the hashing embedder with experts."""
    embedder: Callable[..., object] = _load("store_helper").ExpertEmbedder
    return embedder


@pytest.fixture(scope="session")
def make_mixed_corpus() -> Callable[[int], list[Document]]:
    """Documents by count: a third labelled legal, a third about finance, a third of no domain."""
    maker: Callable[[int], list[Document]] = _load("store_helper").make_mixed_corpus
    return maker


@pytest.fixture
def hashing(make_embedder: Any) -> Any:
    return make_embedder()


@pytest.fixture(scope="session")
def corpus() -> list[Document]:
    """Sixty documents of two chunks each, three subjects, numbered."""
    documents: list[Document] = _load("store_helper").make_corpus(60)
    return documents


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., list[Document]]:
    """Documents by count and version."""
    maker: Callable[..., list[Document]] = _load("store_helper").make_corpus
    return maker


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], object]:
    """Return a store's contents without keys and generations, so that equal stores are equal."""

    def read(path: Path) -> object:
        connection = sqlite3.connect(path / "store.db")
        documents = connection.execute(
            """SELECT id, hash, source, title, domain, metadata, text FROM documents
            WHERE removed_in = 1 << 62 ORDER BY id"""
        ).fetchall()
        chunks = connection.execute(
            """SELECT d.id, c.ordinal, c.start, c."end", c.title, c.text, c.expert, v.embedding
            FROM chunks c JOIN documents d ON d.row = c.document
            JOIN vectors v ON v.content_hash = c.content_hash
            WHERE c.removed_in = 1 << 62 ORDER BY d.id, c.ordinal"""
        ).fetchall()
        groups = connection.execute(
            """SELECT name, expert, share, documents, evidence FROM groups
            WHERE removed_in = 1 << 62 ORDER BY name"""
        ).fetchall()
        connection.close()
        return documents, chunks, groups

    return read
