"""Segments of postings in tests, and BM25 in plain Python to compare their searches with."""

from __future__ import annotations

import gzip
import json
import math
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from expertrag_index.postings.build import build_postings
from expertrag_index.postings.compiled import CompiledEngine
from expertrag_index.postings.engine import PostingEngine, best_engine
from expertrag_index.postings.file_format import SECTIONS
from expertrag_index.postings.plain import PlainEngine
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.types import ChunkHit, KeyArray
from expertrag_index.words.analysis import tokens
from expertrag_index.words.query_words import query_terms

EXAMPLES = Path(__file__).parents[1] / "examples" / "documents"

Chunks = Mapping[int, Sequence[str]]
"""Terms of chunks by their keys."""


def engines() -> list[PostingEngine]:
    """Return the engine in numpy, and the compiled one where there is one."""
    best = best_engine()
    return [PlainEngine(), *([best] if isinstance(best, CompiledEngine) else [])]


def segment_of(chunks: Chunks, folder: Path, run_terms: int = 1 << 20) -> PostingSegment:
    """Build a segment of chunks, in batches of three."""
    keys = sorted(chunks)
    batches = (
        (np.array(part, np.int64), [chunks[key] for key in part])
        for part in (keys[start : start + 3] for start in range(0, len(keys), 3))
    )
    return PostingSegment.open(folder / build_postings(batches, folder, run_terms=run_terms).file)


def example_texts() -> list[str]:
    """Return the texts of the example documents."""
    texts = []
    for path in sorted(EXAMPLES.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [str(json.loads(line)["text"]) for line in lines]
    return texts


def section_start(content: bytes | bytearray, name: str) -> int:
    """Return where a section begins in the content of a file."""
    number = list(SECTIONS).index(name)
    return int(struct.unpack_from("<Q", content, 16 + 16 * number)[0])


def key_array(keys: Collection[int]) -> KeyArray:
    """Return keys, ascending."""
    return np.array(sorted(keys), np.int64)


def reference_scores(chunks: Chunks, query: str) -> dict[int, float]:
    """BM25 of all chunks in which a word of the query occurs, by the formula."""
    size = len(chunks)
    mean = sum(map(len, chunks.values())) / max(size, 1) or 1.0
    counts = {
        word: {key: own.count(term) for key, own in chunks.items() if term in own}
        for word in query_terms(query)
        for term in tokens(word)
    }
    scores: dict[int, float] = {}
    for held in sorted(filter(None, counts.values()), key=len):
        n = len(held)
        idf = max(math.log((size - n + 0.5) / (n + 0.5)), 1e-6)
        for key, count in held.items():
            norm = 1.2 * (1 - 0.75 + 0.75 * len(chunks[key]) / mean)
            scores[key] = scores.get(key, 0.0) + idf * (1.2 + 1) * count / (count + norm)
    return scores


def reference_hits(scores: Mapping[int, float], k: int) -> list[ChunkHit]:
    """Return the ``k`` best: by score, then by key."""
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
    return [ChunkHit(key, score) for key, score in best]
