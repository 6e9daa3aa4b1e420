"""The router's input: mean hidden states of texts below the first layer with experts.

The layers above do not run, so this costs half of an embedding.

    N texts, L tokens of the longest, H hidden
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from expertrag_index.types import FloatArray
from expertrag_lab.trunk import ending_below_experts
from expertrag_retriever.encoder import token_batches
from expertrag_retriever.experts.routed import mean_pooled

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Advance = Callable[[int, int], None]
"""Called with the number of texts done, and their total."""


def pool_states(
    model: SentenceTransformer, texts: Sequence[str], advance: Advance | None = None
) -> FloatArray:
    """Mean hidden states of texts, (N, H) float32, in the order of the texts.

    The result is the same with and without experts, because the experts are above. No other thread
    may run the model at the same time: its pass would stop at the same layer.

    :raises EmbedderError: encoders of this kind cannot have experts.
    """
    transformer: Any = model[0]
    pooled = np.empty((len(texts), transformer.model.config.hidden_size), dtype=np.float32)
    done = 0
    with ending_below_experts(model) as reach:
        if not texts:
            return pooled
        tokens = model.tokenizer(list(texts), truncation=True, max_length=model.max_seq_length)
        for batch in token_batches([len(ids) for ids in tokens["input_ids"]]):
            features = {
                name: value.to(model.device) if isinstance(value, torch.Tensor) else value
                for name, value in model.preprocess([texts[row] for row in batch]).items()
            }
            mask = features["attention_mask"]
            pooled[batch] = mean_pooled(reach(features), mask).cpu().numpy()
            done += len(batch)
            if advance is not None:
                advance(done, len(texts))
    return pooled
