"""A token-routed mixture of transformers: its layers, and a copy with other experts.

E experts, H hidden, I inner
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from expertrag.api.errors import InvalidArgument
from expertrag.llm.convert.dense import UNKNOWN_LICENCE, card_value
from expertrag.llm.engine.families import (
    LIGHT,
    LIGHT_NEURONS,
    MIXTURES,
    experts_of,
    light_experts,
    light_vectors,
    null_experts,
    router_of,
    routing_of,
)
from expertrag.llm.engine.low_rank_experts import LowRankLayer, low_rank_of, set_low_rank
from expertrag.llm.load.light_file import mixtures, set_light, write_light
from expertrag.llm.load.loading import model_errors, model_files, quiet
from expertrag.llm.load.low_rank_file import write_low_rank
from expertrag.llm.load.source import ModelSource
from expertrag_kernels.light import neurons_of
from expertrag_kernels.transformers import NAME, register

_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts")
"""Names of the number of experts in the configurations of the families."""


@dataclass(frozen=True, slots=True)
class MixtureLayer:
    """A decoder layer with routed experts.

    :param number: of the decoder layer, from 0; dense layers count.
    :param router: has ``weight`` (E, H), ``top_k`` and ``num_experts``.
    :param experts: called with rows (T, H), the index (T, K) and the weights (T, K) of the chosen.
    :param block: holds both, and the shared experts, if there are any.
    """

    number: int
    router: nn.Module
    experts: nn.Module
    block: nn.Module

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """What belongs to single experts: tensors (E, …) by their names in the block."""
        return {
            f"{part}.{name}": tensor
            for part, module in self.block.named_children()
            if module is self.router or module is self.experts
            for name, tensor in module.state_dict(keep_vars=True).items()
        }


@dataclass(frozen=True, slots=True)
class Mixture:
    """A model of transformers with routed experts, on the CPU, in the data type it is stored in."""

    model: Any
    tokenizer: Any
    name: str
    license: str

    @property
    def layers(self) -> tuple[MixtureLayer, ...]:
        """The layers with routed experts."""
        return tuple(
            MixtureLayer(number, router_of(block), block.experts, block)
            for number, block in mixtures(self.model)
        )

    @property
    def num_experts(self) -> int:
        """Experts of a layer, null ones included."""
        return experts_of(self.model.config)

    @property
    def null_experts(self) -> int:
        """Null experts of a layer, the last ones."""
        return null_experts(self.model.config)

    @property
    def top_k(self) -> int:
        """Experts that a router chooses for a token, light ones included."""
        return int(self.model.config.num_experts_per_tok)

    @property
    def light_experts(self) -> int:
        """Light experts of a token."""
        return light_experts(self.model.config)

    @property
    def low_rank(self) -> Mapping[int, LowRankLayer]:
        """What the experts were compressed to, by decoder layer; empty if they were not."""
        by_layer = {layer.number: low_rank_of(layer.experts) for layer in self.layers}
        return {number: experts for number, experts in by_layer.items() if experts is not None}

    @property
    def parameters(self) -> tuple[torch.Tensor, ...]:
        """All weights that our engine uses; tied ones once.

        Those are vectors of light experts as well, and low-rank experts instead of plain ones.
        """
        weights = list(self.model.parameters())
        for layer in self.layers:
            if self.light_experts:
                weights.append(light_vectors(layer.block))
            if (low_rank := low_rank_of(layer.experts)) is not None:
                plain = set(layer.experts.parameters())
                weights = [weight for weight in weights if weight not in plain]
                weights += low_rank.tensors
        return tuple(weights)

    @property
    def groups(self) -> int:
        """Groups of consecutive experts, of which a router first chooses some; 1 for no groups."""
        return routing_of(self.model.config, self.layers[0].router).groups

    def with_experts(
        self, experts: Sequence[Mapping[str, torch.Tensor]], **settings: Any
    ) -> Mixture:
        """Return a copy with other experts, and the same weights in everything else.

        :param experts: for each of ``layers``, what replaces its ``weights``: the same names, and
            the same number of experts in every layer, as families have one number for all.
        :param settings: of the configuration, such as ``num_experts_per_tok``.
        :raises ValueError: layers or names do not match, or numbers of experts differ.
        :raises InvalidArgument: the mixture already has light or low-rank experts.
        """
        if self.light_experts or self.low_rank:
            kind = "light" if self.light_experts else "low-rank"
            raise InvalidArgument(
                f"{self.name} has {kind} experts, which stand for the experts that it has: change "
                "the model that it was made from, and compress the result"
            )
        counts = {len(tensor) for own in experts for tensor in own.values()}
        names = [set(layer.weights) for layer in self.layers]
        if len(counts) != 1 or names != [set(own) for own in experts]:
            raise ValueError(
                f"{len(self.layers)} layers need the same weights as before, of one number of "
                f"experts; got {len(experts)} layers of {sorted(counts)} experts"
            )
        state: dict[str, torch.Tensor] = {}
        for layer, own in zip(self.layers, experts, strict=True):
            named = self.model.named_modules()
            prefix = next(name for name, part in named if part is layer.block)
            state |= {f"{prefix}.{name}": tensor.detach() for name, tensor in own.items()}
        count = next(name for name in _COUNTS if getattr(self.model.config, name, None))
        chosen = min(self.top_k, *counts)
        settings = {count: counts.pop(), "num_experts_per_tok": chosen, **settings}
        return self._remade(state, settings)

    def with_low_rank(
        self,
        plain: Sequence[Mapping[str, torch.Tensor]],
        low_rank: Sequence[LowRankLayer],
        **settings: Any,
    ) -> Mixture:
        """Return a copy with other experts, which are products of low-rank ones.

        :param plain: see :meth:`with_experts`.
        :param low_rank: of each of ``layers``.
        """
        made = self.with_experts(plain, **settings)
        for layer, own in zip(made.layers, low_rank, strict=True):
            set_low_rank(layer.experts, own)
        return made

    def with_light(self, vectors: Sequence[torch.Tensor], light: int, **settings: Any) -> Mixture:
        """Return a copy with light experts, and the same weights.

        :param vectors: of each of ``layers``, (E, 3 + 3 N, H); see :mod:`expertrag_kernels.light`.
        :param light: how many of a token's experts are light, the ones with the least weights.
        :param settings: of the configuration.
        """
        neurons = neurons_of(vectors[0])
        made = self._remade({}, {LIGHT: light, LIGHT_NEURONS: neurons, **settings})
        for before, layer, own in zip(self.layers, made.layers, vectors, strict=True):
            set_light(layer.block, own.detach().float(), light)
            if (low_rank := low_rank_of(before.experts)) is not None:
                set_low_rank(layer.experts, low_rank)
        return made

    def _remade(self, weights: Mapping[str, torch.Tensor], settings: Mapping[str, Any]) -> Mixture:
        """Return a copy that shares all weights but these, with other settings."""
        model = self.model
        state = {**model.state_dict(), **weights}
        config = copy.deepcopy(model.config)
        config.update(dict(settings))
        with torch.device("meta"):  # allocates nothing: the weights are assigned
            made = type(model)(config).eval()
        made.load_state_dict(state, assign=True)
        made.tie_weights()
        made.model.rotary_emb = copy.deepcopy(model.model.rotary_emb)
        made.generation_config = copy.deepcopy(model.generation_config)
        made.set_experts_implementation(NAME)
        return Mixture(made.requires_grad_(False), self.tokenizer, self.name, self.license)

    def save(self, folder: Path, card: str) -> None:
        """Write a checkpoint of transformers, with its tokenizer and a card, into a folder."""
        with quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        if self.light_experts:
            write_light(self.model, folder)
        if self.low_rank:
            write_low_rank(self.low_rank, folder)
        (folder / "README.md").write_text(card, encoding="utf-8")


def load_mixture(name: str, dtype: torch.dtype | None = None) -> Mixture:
    """Load a mixture whose experts can be changed.

    :param name: folder or hub id of a checkpoint of transformers.
    :param dtype: of the weights; None for the one in which they are stored.
    :raises NotFound: there is no such model.
    :raises InvalidArgument: the model is packed, a GGUF file, or quantised, or its experts are not
        routed by token.
    :raises ServerError: its files are damaged.
    """
    files = model_files(name)
    if files.is_packed or files.gguf:
        kind = "packed" if files.is_packed else "a GGUF file"
        raise InvalidArgument(
            f"{files.name} is {kind}, whose experts are rounded: give the checkpoint of "
            "transformers that it was made from, and pack or convert the result"
        )
    register()
    with model_errors(name), quiet():
        source = ModelSource(files)
        _check(source.config, files.name)
        stored = getattr(source.config, "dtype", None) or torch.float32
        model = source.whole(name, dtype or stored)
        model.set_experts_implementation(NAME)
    licence = card_value(files.folder, "license") or UNKNOWN_LICENCE
    return Mixture(model, source.tokenizer, files.name, licence)


def _check(config: Any, name: str) -> None:
    kind = config.model_type
    if kind not in MIXTURES:
        raise InvalidArgument(
            f"{name} is a model of type {kind}, without routed experts that are known here: give "
            f"one of {', '.join(MIXTURES)}"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise InvalidArgument(
            f"the weights of {name} are quantised: give a checkpoint in bfloat16 or float32"
        )
