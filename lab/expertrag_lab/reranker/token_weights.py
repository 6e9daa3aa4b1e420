"""Measures ordinary text, which the token matching of a reranker weighs words by."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from expertrag_retriever.bert import Bert
from expertrag_retriever.rerank.token_match import TokenWeights, layer_states

_LEAST = 0.05

_BATCH = 16


def ordinary_weights(bert: Bert, layer: int, rows: Sequence[Sequence[int]]) -> TokenWeights:
    """Measure ordinary text, given as rows of ids."""
    total, count = torch.zeros(bert.config.hidden_size), 0
    frequency = torch.zeros(bert.config.vocab_size)
    with torch.inference_mode():
        for start in range(0, len(rows), _BATCH):
            batch = sorted(rows, key=len)[start : start + _BATCH]
            states, mask = layer_states(bert, layer, batch)
            total += states[mask].sum(0)
            count += int(mask.sum())
    for row in rows:
        frequency[torch.tensor(sorted(set(row)))] += 1
    texts = len(rows)
    idf = torch.log1p((texts - frequency + 0.5) / (frequency + 0.5))
    return TokenWeights(total / count, idf.clamp(min=_LEAST).sqrt())
