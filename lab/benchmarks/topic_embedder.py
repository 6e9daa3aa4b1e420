"""An embedder of nearly no cost for benchmarks of the store: the sum of a few words' vectors.

A text's vector is the normalised sum of fixed random vectors of its first long words. In the corpus
of ``synthetic_corpus.py`` those are mostly the words of topics; the words of one topic have similar
vectors, so that texts about it are near, and those with the same words nearer. The random vectors
have most of their variance in few directions, as those of language models do. Nothing but numpy is
needed.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from synthetic_corpus import TOKENS, topics, vocabulary

if TYPE_CHECKING:
    from expertrag_index.types import Group, Progress

DIMENSION = 384
_OF_A_TOPIC = 8  # vectors that its words share
_OTHERS = 4096  # vectors of words without a topic
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
        rng = np.random.default_rng(4)
        centres = _drawn(rng, len(topics()))[:, None]
        of_topics = centres + _drawn(rng, len(topics()) * _OF_A_TOPIC).reshape(
            len(topics()), _OF_A_TOPIC, DIMENSION
        )
        rows = np.concatenate([of_topics.reshape(-1, DIMENSION), _drawn(rng, _OTHERS)])
        self._rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        self._topics = {
            word: topic
            for topic, ranks in enumerate(topics())
            for word in vocabulary()[ranks].tolist()
        }
        self._known: dict[str, int] = {}

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count words, and two special tokens."""
        return [text.count(" ") + 3 if text else 2 for text in texts]

    def tokens_read(self, texts: Sequence[str], role: str) -> list[int]:
        """Count words; there is no prompt."""
        return self.count_tokens(texts)

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
        words = [self._chosen(text) for text in texts]
        starts = np.cumsum([0, *map(len, words[:-1])])
        flat = [row for some in words for row in some]
        sums = np.add.reduceat(self._rows[flat], starts, axis=0)
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

    def _chosen(self, text: str) -> list[int]:
        """Choose the words that count; a text without long ones is one word."""
        words = [word for word in text.split() if len(word) >= _LONG][:_MOST]
        return [self._row(word) for word in words or [text]]

    def _row(self, word: str) -> int:
        found = self._known.get(word)
        if found is None:
            plain = word.rstrip(".,?").lower()
            number, topic = zlib.crc32(plain.encode()), self._topics.get(plain)
            if topic is None:
                found = len(self._rows) - _OTHERS + number % _OTHERS
            else:
                found = topic * _OF_A_TOPIC + number % _OF_A_TOPIC
            self._known[word] = found
        return found


def _drawn(rng: np.random.Generator, count: int) -> Vectors:
    """Draw vectors [count, D] of length one."""
    spectrum = 1 / np.sqrt(1 + np.arange(DIMENSION) / 16)
    rows = rng.standard_normal((count, DIMENSION)) * spectrum
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
