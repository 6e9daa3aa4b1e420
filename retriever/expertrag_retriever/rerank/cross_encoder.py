"""A cross-encoder as a reranker: pairs in length-sorted batches, at most as many as cores at once.

N texts
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from expertrag_common.cores import concurrent_batches
from expertrag_index.types import FloatArray
from expertrag_retriever.encoder import token_batches


class PairNetwork(Protocol):
    """Scores pairs of a query and a text. Thread-safe."""

    @property
    def device(self) -> str:
        """The kind of device that it runs on, such as "cpu"."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a pair that it reads."""
        ...

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each pair, without truncation."""
        ...

    def scores(self, query: str, texts: Sequence[str]) -> FloatArray:
        """Return the scores [N] of one batch."""
        ...


class CrossEncoderReranker:
    """Runs a network in batches; the same scores whatever else is in the call.

    (To the rounding of the number format, which depends on the padding.)
    """

    def __init__(
        self, name: str, fingerprint: str, network: PairNetwork, search_weight: float = 0.0
    ) -> None:
        """Wrap a loaded network; use :func:`load_reranker`."""
        self._name = name
        self._fingerprint = fingerprint
        self._network = network
        self._search_weight = search_weight

    @property
    def name(self) -> str:
        """The name that the user gave."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of weights, configuration and vocabulary."""
        return self._fingerprint

    @property
    def search_weight(self) -> float:
        """Weight of the search's score in the sum that ranks."""
        return self._search_weight

    @property
    def max_tokens(self) -> int:
        """Tokens of a query and a text together that it reads."""
        return self._network.max_tokens

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of the query with each text, without truncation."""
        return self._network.count_tokens(query, texts)

    def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        """Return the scores [N] of texts, in their order; higher is better."""
        scores = np.empty(len(texts), dtype=np.float32)
        if not texts:
            return scores
        longest = self._network.max_tokens
        lengths = [min(longest, n) for n in self._network.count_tokens(query, texts)]
        workers = concurrent_batches(self._network.device)
        batches = list(token_batches(lengths, -(-sum(lengths) // workers)))

        def run(batch: list[int]) -> None:
            scores[batch] = self._network.scores(query, [texts[row] for row in batch])

        if min(workers, len(batches)) == 1:
            for batch in batches:
                run(batch)
        else:
            with ThreadPoolExecutor(min(workers, len(batches))) as pool:
                list(pool.map(run, batches))
        return scores
