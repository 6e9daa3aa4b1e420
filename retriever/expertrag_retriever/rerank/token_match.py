"""Late interaction without training: each token of the query finds its best match in the text.

The states of an encoder's inner layer tell tokens apart by meaning and context, which the mean of
an embedding blurs. A text's score is the mean over the query's tokens of their best cosine with a
token of the text. That is as in ColBERT (Khattab and Zaharia 2020). Rare tokens weigh more. Nothing
is trained: the states come from a sentence encoder, less the mean state of ordinary text, which all
tokens share.

    N texts, Q tokens of the query, L tokens of the longest text, H hidden, V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from expertrag_index.types import FloatArray
from expertrag_retriever.bert import Bert
from expertrag_retriever.rerank.tokens import PairTokens, pad_rows


class TokenMatchPairs:
    """Scores texts by token matches, on the CPU; see :class:`PairNetwork`."""

    device = "cpu"

    def __init__(
        self,
        bert: Bert,
        tokens: PairTokens,
        layer: int,
        weights: TokenWeights,
        scale: float,
    ) -> None:
        """Wrap an encoder.

        :param layer: whose output is compared, from 1.
        :param scale: factor of the scores: 1 by their usual standard deviation among candidates.
        """
        self._bert = bert
        self._layer = layer
        self._tokens = tokens
        self._weights = weights
        self._scale = scale

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that it reads; the query comes on top."""
        return self._tokens.max_tokens

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, without truncation."""
        del query
        return [len(row) for row in self._tokens.alone(texts, cut=False)]

    def scores(self, query: str, texts: Sequence[str]) -> FloatArray:
        """Return the scores [N] of one batch."""
        query_ids = self._tokens.query_alone(query)
        weights = self._weights.rarity[torch.tensor(query_ids[0][1:-1])]  # [Q]
        with torch.inference_mode():
            query_states, _ = self._states(query_ids)  # [1, Q + 2, H]
            states, mask = self._states(self._tokens.alone(texts))  # [N, L, H], [N, L]
            cosines = query_states[0, 1:-1] @ states.transpose(1, 2)  # [N, Q, L]
            cosines.masked_fill_(~mask[:, None, :], -1.0)
            scores = cosines.amax(2) @ (weights / weights.sum()) * self._scale
        rows: FloatArray = scores.numpy()
        return rows

    def _states(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the unit states of texts, (N, L, H) float32, and which tokens are not padding."""
        states, mask = layer_states(self._bert, self._layer, rows)
        return F.normalize(states - self._weights.center, dim=-1), mask


@dataclass(frozen=True, slots=True)
class TokenWeights:
    """Measurements of ordinary text: its mean state ``center`` [H], and ``rarity`` [V] of tokens.

    The rarity is the square root of the inverse document frequency, at least ``_LEAST``.
    """

    center: torch.Tensor
    rarity: torch.Tensor


def layer_states(
    bert: Bert, layer: int, rows: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the first layers: states (N, L, H) float32, and which tokens are not padding (N, L)."""
    ids, mask = pad_rows(rows)
    states = bert.embeddings(ids, torch.zeros_like(ids))
    seen = None if mask.all() else mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
    for part in list(bert.encoder.get_submodule("layer").children())[:layer]:
        states = part(states, seen)
    return states.float(), mask
