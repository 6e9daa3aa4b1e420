"""A deterministic embedder without weights, for tests of the store that need thousands of runs.

Words are hashed onto a few signed dimensions, so that texts with common words are similar. It
counts what it encodes. A text with the word ``poison`` becomes NaN.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class HashingEmbedder:
    def __init__(
        self, dimension: int = 32, fingerprint: str = "hashing-1", delay_s: float = 0.0
    ) -> None:
        self.name = "hashing"
        self.fingerprint = fingerprint
        self.dimension = dimension
        self.max_tokens = 64
        self.delay_s = delay_s
        self.encoded: list[str] = []

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]

    def encode_documents(
        self, texts: Sequence[str], domain: str | None = None
    ) -> NDArray[np.float32]:
        time.sleep(self.delay_s * len(texts))
        self.encoded.extend(texts)
        return np.stack([self.encode_query(text) for text in texts])

    def encode_query(self, text: str, domain: str | None = None) -> NDArray[np.float32]:
        vector = np.full(self.dimension, 1e-3, np.float32)
        for word in text.lower().split():
            if word == "poison":
                return np.full(self.dimension, np.nan, np.float32)
            digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
            for byte in digest:
                vector[byte % self.dimension] += 1 if byte & 128 else -1
        return vector / np.linalg.norm(vector)
