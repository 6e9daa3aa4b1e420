"""Retrieval of ExpertRAG: the embedder, hybrid search and the gate, usable alone as a library.

    embedder = load_embedder("sentence-transformers/all-MiniLM-L6-v2")
    with Index.open(path, embedder_fingerprint=embedder.fingerprint) as index:
        result = Searcher(index, embedder).search("how long are logs kept?", k=5)

Importing this package loads only the standard library; the names below are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
    from expertrag_retriever.fusion import calibrate_fusion
    from expertrag_retriever.gate import Gate, calibrate_coverage
    from expertrag_retriever.search import Searcher

_MODULES = {
    "Gate": "expertrag_retriever.gate",
    "Searcher": "expertrag_retriever.search",
    "SentenceTransformerEmbedder": "expertrag_retriever.encoder",
    "calibrate_coverage": "expertrag_retriever.gate",
    "calibrate_fusion": "expertrag_retriever.fusion",
    "load_embedder": "expertrag_retriever.encoder",
}

__all__ = [
    "Gate",
    "Searcher",
    "SentenceTransformerEmbedder",
    "calibrate_coverage",
    "calibrate_fusion",
    "load_embedder",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
