"""Document store of ExpertRAG: SQLite is the source of truth, FAISS segments are derived from it.

    with IndexWriter.open(path, embedder) as writer:
        writer.build(documents)
    with Index.open(path) as index:
        hits = index.search_lexical("checkpoint interval", k=5)

Importing this package loads neither numpy nor faiss; the names below load them on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag_index.build.writer import IndexWriter
    from expertrag_index.store.index import Index

_MODULES = {
    "Index": "expertrag_index.store.index",
    "IndexWriter": "expertrag_index.build.writer",
}

__all__ = ["Index", "IndexWriter"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
