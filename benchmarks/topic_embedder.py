"""An embedder of nearly no cost for benchmarks of the store: the sum of a few words' vectors.

A text's vector is the normalised sum of fixed random vectors of its first long words, which in the
corpus of ``synthetic_corpus.py`` are those of its topic and its own. Texts that share such words
are near. The random vectors have most of their variance in few directions, as those of language
models do. Nothing but numpy is needed.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from synthetic_corpus import TOKENS

if TYPE_CHECKING:
    from expertrag_index.types import Group, Progress

DIMENSION = 384
_BUCKETS = 1 << 14
_LONG = 6  # letters
_MOST = 16  # words of a text

Vectors = NDArray[np.float32]


class TopicEmbedder:
    """Sums the vectors of words. Thread-safe."""

    dimension = DIMENSION
    max_tokens = TOKENS
    experts: tuple[str, ...] = ()

    def __init__(self, name: str = "topics", fingerprint: str = "topics-1") -> None:
        """Draw the vectors; a name and a fingerprint let a server open the store as another's."""
        self.name, self.fingerprint = name, fingerprint
        spectrum = 1 / np.sqrt(1 + np.arange(DIMENSION) / 16)
        drawn = np.random.default_rng(4).standard_normal((_BUCKETS, DIMENSION)) * spectrum
        self._words = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        self._known: dict[str, int] = {}

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count words, and two special tokens."""
        return [text.count(" ") + 3 if text else 2 for text in texts]

    def fingerprint_of_expert(self, expert: str) -> str:
        """Return the only fingerprint."""
        return self.fingerprint

    def assign(
        self, samples: Mapping[str, Sequence[str]], known: Collection[Group], progress: Progress
    ) -> list[Group]:
        """Assign no groups: there are no experts."""
        return []

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> Vectors:
        """Return vectors [N, D]."""
        words = [self._buckets(text) for text in texts]
        starts = np.cumsum([0, *map(len, words[:-1])])
        flat = [bucket for some in words for bucket in some]
        sums = np.add.reduceat(self._words[flat], starts, axis=0)
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)

    def encode_query(self, text: str, domain: str | None = None) -> Vectors:
        """Return a vector [D]."""
        return np.asarray(self.encode_documents([text])[0], np.float32)

    def encode_queries(self, texts: Sequence[str], domain: str | None = None) -> Vectors:
        """Return vectors [N, D]."""
        return self.encode_documents(texts)

    def encode_queries_by_experts(self, texts: Sequence[str], experts: Sequence[str]) -> Vectors:
        """Return vectors [N, P, D], the same for each expert."""
        return np.repeat(self.encode_documents(texts)[:, None], len(experts), axis=1)

    def posteriors(self, texts: Sequence[str]) -> Vectors:
        """Return [N, 1]: no domain."""
        return np.ones((len(texts), 1), np.float32)

    def _buckets(self, text: str) -> list[int]:
        """Choose the words that count; a text without long ones has the bucket of its hash."""
        words = [word for word in text.split() if len(word) >= _LONG][:_MOST]
        return [self._bucket(word) for word in words or [text]]

    def _bucket(self, word: str) -> int:
        found = self._known.get(word)
        if found is None:
            plain = word.rstrip(".,?").lower()
            found = self._known[word] = zlib.crc32(plain.encode()) % _BUCKETS
        return found
