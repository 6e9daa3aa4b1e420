"""Installs experts in the feed-forward layers of an encoder, and finds them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.experts.linear import ExpertLinear
from expertrag_retriever.experts.routing import current
from expertrag_retriever.experts.settings import ExpertSettings


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Paths of the layers in one kind of encoder, and of the feed-forward layers in each layer.

    Layers without these feed-forward layers get no experts.
    """

    layers: str
    feed_forward: tuple[str, ...]


_BERT = Anatomy("encoder.layer", ("intermediate.dense", "output.dense"))
_ANATOMIES: Mapping[str, Anatomy] = {
    "bert": _BERT,
    "mpnet": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "modernbert": Anatomy("layers", ("mlp.Wi", "mlp.Wo")),
    "nomic_bert": Anatomy("layers", ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")),
    # Its own mixture-of-experts layers, which route token by token, stay unchanged.
    "nomic_bert_moe": Anatomy("encoder.layers", ("mlp.fc1", "mlp.fc2")),
}

ChooseExperts = Callable[[torch.Tensor], None]
"""Called with the hidden states (N, L, H) that reach the first layer with experts."""


def install(model: Any, settings: ExpertSettings, choose: ChooseExperts) -> int:
    """Add experts to a transformers encoder, and return the index of the first layer with experts.

    Freezes all parameters of the base; only the experts' parameters, in float32, are trainable.
    ``choose`` runs at the first layer with experts, in routed passes.

    :raises EmbedderError: the encoder is of an unknown kind, or no layer at or above
        ``first_layer`` can have experts.
    """
    anatomy = anatomy_of(model)
    layers = model.get_submodule(anatomy.layers)
    first = len(layers) // 2 if settings.first_layer is None else settings.first_layer
    if not 0 <= first < len(layers):
        raise EmbedderError(
            f"experts cannot start at layer {first} of {len(layers)}: choose a lower first_layer"
        )
    model.requires_grad_(False)
    for layer in layers[first:]:
        for path in anatomy.feed_forward:
            parent, _, name = path.rpartition(".")
            owner = layer.get_submodule(parent)
            if hasattr(owner, name):
                setattr(owner, name, ExpertLinear(getattr(owner, name), settings))
    if not any(expert_layers(model)):
        raise EmbedderError(
            f"experts cannot start at layer {first}: no dense layer follows; choose a lower "
            "first_layer"
        )

    def begin(_layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if current() is not None:
            choose(inputs[0])

    layers[first].register_forward_pre_hook(begin)
    return first


def expert_layers(model: nn.Module) -> Iterator[tuple[str, ExpertLinear]]:
    """Yield the layers with experts, with the name of the layer that each replaces."""
    for name, module in model.named_modules():
        if isinstance(module, ExpertLinear):
            yield name, module


def anatomy_of(model: Any) -> Anatomy:
    """Return where an encoder keeps its layers.

    :raises EmbedderError: encoders of this kind cannot have experts.
    """
    kind = model.config.model_type
    if kind == "nomic_bert" and getattr(model.config, "num_experts", 0):
        kind = "nomic_bert_moe"
    if kind not in _ANATOMIES:
        raise EmbedderError(
            f"experts cannot be added to an encoder of type {kind!r}: use one of "
            f"{', '.join(sorted(_ANATOMIES))}"
        )
    return _ANATOMIES[kind]


def base_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the parameters of the base model under their original names, without the experts."""
    experts = {f"{name}.{part}" for name, _ in expert_layers(model) for part in ("first", "second")}
    return {
        key.replace(".base.", "."): value
        for key, value in model.state_dict().items()
        if key not in experts
    }
