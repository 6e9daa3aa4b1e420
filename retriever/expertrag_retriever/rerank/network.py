"""Our own cross-encoder: a BERT encoder with low-rank updates and a linear head, in plain torch.

N pairs, L tokens of the longest, H hidden, R rank, I in, O out
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from expertrag_index.types import FloatArray
from expertrag_retriever.bert import Bert
from expertrag_retriever.rerank.tokens import PairFeatures, PairTokens

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

    def merge(self) -> nn.Linear:
        """Return one layer that computes the same."""
        weight = self.base.weight
        weight.data = (weight.float() + self.up @ self.down).to(weight.dtype).detach()
        return self.base


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

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that are trained, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def merge(self) -> None:
        """Add the updates to the matrices: the scores are the same, and cost less."""
        for owner in list(self.bert.modules()):
            for name, part in list(owner.named_children()):
                if isinstance(part, LowRankUpdate):
                    setattr(owner, name, part.merge())


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
