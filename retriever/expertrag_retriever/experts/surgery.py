"""Putting experts into the feed-forward layers of an encoder, and finding them again."""

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
    """Where a kind of encoder keeps its layers, and in each of them its feed-forward layers.

    Layers without these stay without experts.
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
    # Its layers that are mixtures of experts already, chosen token by token, stay as they are.
    "nomic_bert_moe": Anatomy("encoder.layers", ("mlp.fc1", "mlp.fc2")),
}

ChooseExperts = Callable[[torch.Tensor], None]
"""Called with the hidden states (N, L, H) that reach the first layer with experts."""


def install(model: Any, settings: ExpertSettings, choose: ChooseExperts) -> int:
    """Give a transformers encoder experts, and return the first layer that has them.

    All parameters of the base are frozen; those of the experts, in float32, are the only ones that
    can learn. ``choose`` runs where the experts begin, in passes that have a routing.

    :raises EmbedderError: an encoder of an unknown kind, or no layer for experts from
        ``first_layer`` on.
    """
    anatomy = anatomy_of(model)
    layers = model.get_submodule(anatomy.layers)
    first = len(layers) // 2 if settings.first_layer is None else settings.first_layer
    if not 0 <= first < len(layers):
        raise EmbedderError(
            f"experts cannot begin in layer {first} of {len(layers)}: choose a lower first_layer"
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
            f"experts cannot begin in layer {first}: no dense layer follows; choose a lower "
            "first_layer"
        )

    def begin(_layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if current() is not None:
            choose(inputs[0])

    layers[first].register_forward_pre_hook(begin)
    return first


def expert_layers(model: nn.Module) -> Iterator[tuple[str, ExpertLinear]]:
    """Yield the layers with experts, by the name of the layer that they replace."""
    for name, module in model.named_modules():
        if isinstance(module, ExpertLinear):
            yield name, module


def anatomy_of(model: Any) -> Anatomy:
    """Say where an encoder keeps its layers.

    :raises EmbedderError: an encoder of a kind that cannot have experts.
    """
    kind = model.config.model_type
    if kind == "nomic_bert" and getattr(model.config, "num_experts", 0):
        kind = "nomic_bert_moe"
    if kind not in _ANATOMIES:
        raise EmbedderError(
            f"experts cannot be added to an encoder of type {kind!r}: use one of type "
            f"{', '.join(sorted(_ANATOMIES))}"
        )
    return _ANATOMIES[kind]


def base_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the parameters of the base model under the names that they had before the surgery."""
    experts = {f"{name}.{part}" for name, _ in expert_layers(model) for part in ("first", "second")}
    return {
        key.replace(".base.", "."): value
        for key, value in model.state_dict().items()
        if key not in experts
    }
