"""Our own cross-encoder: a BERT encoder with low-rank updates and a linear head, in plain torch.

N pairs, L tokens of the longest, H hidden, R rank, I in, O out
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from expertrag_index.types import FloatArray
from expertrag_retriever.bert import Bert

MOST_QUERY_TOKENS = 64
"""A longer query is cut, so that room is left for the text."""

_SPECIAL = 3  # [CLS] query [SEP] text [SEP]
_MATRICES = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


class LowRankUpdate(nn.Module):
    """A frozen linear layer and a low-rank update, which is zero at first.

    ``down`` (R, I) and ``up`` (O, R) are float32, whatever the layer's number format.
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        scale = 1 / math.sqrt(base.in_features)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) * scale)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply layer and update: (N, L, I) to (N, L, O)."""
        update = F.linear(F.linear(x, self.down.to(x.dtype)), self.up.to(x.dtype))
        out: torch.Tensor = self.base(x) + update
        return out

    def merged(self) -> nn.Linear:
        """Return one layer that computes the same."""
        weight = self.base.weight
        weight.data = (weight.float() + self.up @ self.down).to(weight.dtype).detach()
        return self.base


@dataclass(frozen=True, slots=True)
class PairFeatures:
    """Token ids, attention mask and token types (1 in the text) of pairs, (N, L) each."""

    ids: torch.Tensor
    mask: torch.Tensor
    kinds: torch.Tensor


class CrossEncoderNetwork(nn.Module):
    """Scores a pair from the first token's state and the mean state of the text's tokens."""

    def __init__(self, bert: Bert, rank: int) -> None:
        """Add updates of rank ``rank`` to every matrix of the encoder's layers."""
        super().__init__()
        self.bert = bert.requires_grad_(False)
        for layer in bert.encoder.get_submodule("layer").children():
            for name in _MATRICES:
                parent, _, leaf = name.rpartition(".")
                owner = layer.get_submodule(parent)
                setattr(owner, leaf, LowRankUpdate(getattr(owner, leaf), rank))
        self.head = nn.Linear(2 * bert.config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: PairFeatures) -> torch.Tensor:
        """Return the scores (N) float32."""
        states = self.bert(features.ids, features.mask, features.kinds).float()  # [N, L, H]
        text = (features.kinds * features.mask)[..., None].float()  # [N, L, 1]
        mean = (states * text).sum(1) / text.sum(1).clamp(min=1)
        out: torch.Tensor = self.head(torch.cat([states[:, 0], mean], 1))[:, 0]
        return out

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that are trained, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def merge(self) -> None:
        """Add the updates to the matrices: the scores are the same, and cost less."""
        for owner in list(self.bert.modules()):
            for name, part in list(owner.named_children()):
                if isinstance(part, LowRankUpdate):
                    setattr(owner, name, part.merged())


class PairTokens:
    """Makes the features of pairs with a BERT tokenizer. Thread-safe: it is never modified."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        """Cut the text of a pair so that it has at most ``max_tokens`` tokens."""
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        self._first = tokenizer.token_to_id("[CLS]")
        self._end = tokenizer.token_to_id("[SEP]")

    def count(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each pair, the text without truncation."""
        own = len(self._query(query)) + _SPECIAL
        return [own + len(row) for row in self._ids(texts)]

    def features(self, query: str, texts: Sequence[str]) -> PairFeatures:
        """Pad pairs of one query to the longest of them."""
        return self.of_pairs([(query, texts)])

    def of_pairs(self, groups: Sequence[tuple[str, Sequence[str]]]) -> PairFeatures:
        """Pad pairs of several queries, each with its texts, to the longest of them."""
        rows = [
            (head, text[: self.max_tokens - len(head) - 1])
            for query, texts in groups
            for head in ([self._first, *self._query(query), self._end],)
            for text in self._ids(texts)
        ]
        longest = max(len(head) + len(text) + 1 for head, text in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.int64)
        mask, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, (head, text) in enumerate(rows):
            end = len(head) + len(text) + 1
            ids[row, :end] = torch.tensor([*head, *text, self._end])
            mask[row, :end] = 1
            kinds[row, len(head) : end] = 1
        return PairFeatures(ids, mask, kinds)

    def _query(self, query: str) -> list[int]:
        return next(self._ids([query]))[:MOST_QUERY_TOKENS]

    def _ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        found: Any = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return (encoding.ids for encoding in found)


class BertPairs:
    """Runs a merged network on the CPU; see :class:`PairNetwork`."""

    device = "cpu"

    def __init__(self, network: CrossEncoderNetwork, tokens: PairTokens) -> None:
        self._network = network
        self._tokens = tokens

    @property
    def max_tokens(self) -> int:
        """Tokens of a pair that it reads."""
        return self._tokens.max_tokens

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each pair, without truncation of the text."""
        return self._tokens.count(query, texts)

    def scores(self, query: str, texts: Sequence[str]) -> FloatArray:
        """Return the scores [N] of one batch."""
        with torch.inference_mode():
            scores: FloatArray = self._network(self._tokens.features(query, texts)).numpy()
        return scores
