"""What the router sees of texts: their mean hidden states where experts begin, or would begin.

The layers above are not run, so that this costs half of an embedding.

    N texts, L tokens of the longest, H hidden
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from expertrag_index.types import FloatArray
from expertrag_retriever.encoder import token_batches
from expertrag_retriever.experts.module import mean_pooled
from expertrag_retriever.experts.surgery import anatomy_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Advance = Callable[[int, int], None]
"""Called with how many texts are done, and of how many."""


class _Reached(BaseException):
    """Ends a forward pass with the hidden states (N, L, H) that reach the first layer with experts.

    No Exception: nothing between the hook and us may take it for a fault of its own.
    """

    def __init__(self, hidden: torch.Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def first_layer_of(model: SentenceTransformer) -> int:
    """Layer where the experts of a model begin; the middle, where they would, if it has none.

    :raises EmbedderError: an encoder of a kind that cannot have experts.
    """
    transformer: Any = model[0]
    if getattr(transformer, "settings", None) is not None:
        return int(transformer.first_layer)
    return len(_layers(model)) // 2


def pooled_states(
    model: SentenceTransformer, texts: Sequence[str], advance: Advance | None = None
) -> FloatArray:
    """Mean hidden states of texts, (N, H) float32, in the order of the texts.

    A model with experts gives the same as without: its experts lie above. No other thread may run
    the model meanwhile: its pass would end at the same layer.

    :raises EmbedderError: an encoder of a kind that cannot have experts.
    """
    transformer: Any = model[0]
    layer = _layers(model)[first_layer_of(model)]
    pooled = np.empty((len(texts), transformer.model.config.hidden_size), dtype=np.float32)
    if not texts:
        return pooled
    tokens = model.tokenizer(list(texts), truncation=True, max_length=model.max_seq_length)
    hook = layer.register_forward_pre_hook(_stop, with_kwargs=True, prepend=True)
    done = 0
    try:
        for batch in token_batches([len(ids) for ids in tokens["input_ids"]]):
            pooled[batch] = _pool(model, [texts[row] for row in batch])
            done += len(batch)
            if advance is not None:
                advance(done, len(texts))
    finally:
        hook.remove()
    return pooled


def _layers(model: SentenceTransformer) -> Any:
    transformer: Any = model[0]
    encoder = transformer.model
    return encoder.get_submodule(anatomy_of(encoder).layers)


def _stop(
    _layer: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, Any] | None:
    raise _Reached(inputs[0] if inputs else named["hidden_states"])


def _pool(model: SentenceTransformer, texts: list[str]) -> FloatArray:
    features = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in model.preprocess(texts).items()
    }
    try:
        with torch.inference_mode():
            model[0](features)
    except _Reached as reached:
        pooled: FloatArray = mean_pooled(reached.hidden, features["attention_mask"]).cpu().numpy()
        return pooled
    raise AssertionError("every pass reaches the first layer with experts")
