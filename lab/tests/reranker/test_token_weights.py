"""Ordinary text is measured for the token matching of a reranker."""

from __future__ import annotations

from pathlib import Path

import torch

from expertrag_lab.reranker.token_weights import ordinary_weights
from expertrag_retriever.rerank.bundle import open_base
from expertrag_retriever.rerank.token_match import layer_states


def test_ordinary_text_is_measured(minilm_path: Path) -> None:
    bert, tokens = open_base(minilm_path, 32)
    rows = tokens.alone([f"the rose {word}" for word in ("garden", "bush", "red", "thorn") * 5])
    weights = ordinary_weights(bert, 2, rows)
    with torch.inference_mode():
        states = torch.cat([layer_states(bert, 2, [row])[0][0] for row in rows])
    assert torch.allclose(weights.center, states.mean(0), atol=1e-4)
    the, garden, unseen = (tokens.alone([word])[0][1] for word in ("the", "garden", "zebra"))
    assert weights.rarity[the] < weights.rarity[garden] < weights.rarity[unseen]
