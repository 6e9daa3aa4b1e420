"""The forward pass of a plain BERT encoder with the compiled kernel, in bfloat16.

N texts, H hidden, D dimensions, E experts
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from expertrag_common.cores import available_cores
from expertrag_index.types import FloatArray
from expertrag_kernels.encoder import (
    ISAS,
    ChosenExperts,
    DenseWeights,
    Encoder,
    EncoderShape,
    NormWeights,
)
from expertrag_kernels.linear import LowRankExperts
from expertrag_retriever.experts.linear import ExpertLinear
from expertrag_retriever.experts.settings import ExpertForm
from expertrag_retriever.router.router import choose, no_domain, of_experts

if TYPE_CHECKING:
    from tokenizers import Encoding

    from expertrag_retriever.bert import Bert
    from expertrag_retriever.plain_encoder import PlainTransformer


_SHORTEST = 1e-12  # length of a vector that is divided by, as in torch


def compile_pass(transformer: PlainTransformer) -> FusedPass | None:
    """Compile a transformer; None if the processor, its sizes or its experts are not supported."""
    full = transformer.settings is not None and transformer.settings.form is ExpertForm.FULL
    if not ISAS or full or not _shape_of(transformer.model).is_supported:
        return None
    return FusedPass(transformer)


class FusedPass:
    """Computes vectors with a compiled copy of an encoder and of its experts.

    A text's vector by given experts is the same, to the bit, alone and in any batch.
    """

    def __init__(self, transformer: PlainTransformer) -> None:
        """Copy the weights; use :func:`compile_pass`."""
        self.settings = transformer.settings
        self._router = transformer.router
        self._first_layer = transformer.first_layer
        self._encoder = _compile(transformer.model)

    @property
    def workers(self) -> int:
        """A batch runs on one core."""
        return available_cores()

    def vectors(
        self, encodings: Sequence[Encoding], domains: Sequence[str] | None, prompt_tokens: int
    ) -> FloatArray:
        """See :class:`ForwardPass`; the prompt counts in the mean."""
        del prompt_tokens
        ids = [encoding.ids for encoding in encodings]
        if self.settings is None:
            means = self._encoder.run(ids)[1]
        elif domains is not None:
            index = np.array(self.settings.indexes_of(domains), np.int64)[:, None]
            chosen = ChosenExperts(index, np.ones(index.shape, np.float32))
            means = self._encoder.run(ids, chosen)[1]
        else:
            means = self._run_routed(ids)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        vectors: FloatArray = means / np.maximum(lengths, _SHORTEST)
        return vectors

    def posteriors(self, encodings: Sequence[Encoding]) -> FloatArray:
        """Run only the layers below the experts."""
        assert self.settings is not None, "called on a model with experts"
        ids = [encoding.ids for encoding in encodings]
        pooled = self._encoder.run(ids, last=self._first_layer)[1]
        posterior: FloatArray = self._posterior(pooled).numpy()
        return posterior

    def _run_routed(self, ids: Sequence[Sequence[int]]) -> FloatArray:
        """Means [N, H] of the states by the experts that the router chooses."""
        states, pooled = self._encoder.run(ids, last=self._first_layer)
        choice = choose(self._posterior(pooled))
        chosen = ChosenExperts(choice.index.numpy(), choice.weights.numpy())
        return self._encoder.run(ids, chosen, states=states, first=self._first_layer)[1]

    def _posterior(self, pooled: FloatArray) -> torch.Tensor:
        assert self.settings is not None, "checked by the callers"
        experts = len(self.settings.domains)
        if self._router is None:
            return no_domain(len(pooled), experts)
        with torch.inference_mode():
            return of_experts(self._router.posterior(torch.from_numpy(pooled)), experts)


def _shape_of(model: Bert) -> EncoderShape:
    config = model.config
    return EncoderShape(
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
        config.layer_norm_eps,
    )


def _compile(model: Bert) -> Encoder:
    embeddings = model.embeddings
    positions = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
    words = embeddings.word_embeddings.weight
    encoder = Encoder(_shape_of(model), words, positions, _norm(embeddings.LayerNorm))
    for layer in model.encoder.get_submodule("layer").children():
        encoder.add_layer(*_layer(layer))
    return encoder


def _layer(
    layer: Any,
) -> tuple[DenseWeights, DenseWeights, NormWeights, DenseWeights, DenseWeights, NormWeights]:
    attention = layer.attention.self
    parts = (attention.query, attention.key, attention.value)
    query_key_value = DenseWeights(
        torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    )
    return (
        query_key_value,
        _dense(layer.attention.output.dense),
        _norm(layer.attention.output.LayerNorm),
        _dense(layer.intermediate.dense),
        _dense(layer.output.dense),
        _norm(layer.output.LayerNorm),
    )


def _dense(layer: nn.Linear | ExpertLinear) -> DenseWeights:
    if isinstance(layer, ExpertLinear):
        experts = LowRankExperts(layer.first, layer.second)
        return DenseWeights(layer.base.weight, layer.base.bias, experts)
    return DenseWeights(layer.weight, layer.bias)


def _norm(layer: nn.LayerNorm) -> NormWeights:
    return NormWeights(layer.weight, layer.bias)
