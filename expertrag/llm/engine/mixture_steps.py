"""The steps of a layer: routed, light, low-rank and shared experts, or a dense feed-forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from expertrag.llm.adapters.served import DenseLayer, ServedAdapters
from expertrag.llm.engine import families
from expertrag.llm.engine.low_rank_experts import LowRankLayer, low_rank_of
from expertrag.llm.engine.named_weights import NamedWeights
from expertrag_kernels import Format, PlainExperts
from expertrag_kernels.interleaved import mxfp4_experts
from expertrag_kernels.layout import pack_published
from expertrag_kernels.router import Router
from expertrag_kernels.steps import SlotView


@dataclass(slots=True)
class MixtureSteps:
    """Plans the experts of a model's layers.

    :param keep: keeps a slot's values, and returns their index.
    :param experts: format of routed experts.
    :param routers: indices of the layers' router logits among the kept values.
    :param top_k: experts of a token, without light ones.
    """

    config: Any
    weights: NamedWeights
    experts: Format
    adapters: ServedAdapters | None
    keep: Callable[[SlotView, int], int]
    routers: list[int] = field(init=False, default_factory=list)
    top_k: int = field(init=False, default=0)
    narrow: dict[int, tuple[SlotView, SlotView]] = field(init=False, default_factory=dict)

    def planner(self, x: SlotView, y: SlotView) -> Callable[[int, Any], None]:
        """Return what plans a layer: experts, or a dense layer, which is one for all tokens.

        :param x: the residual stream, which outputs are added to.
        :param y: the normed values that are read.
        """
        d = self.weights.decoder
        logits = d.slot(max(families.experts_of(self.config), 1))
        read = d.slot(self.config.hidden_size) if families.light_experts(self.config) else y

        def mix(number: int, module: Any) -> None:
            if hasattr(module, "experts"):
                self._route(y, logits, module)
                self._plan_routed(y, read, x, module)
                self._plan_shared(y, logits, x, module)
                return
            weights = self.dense("dense", module)
            if self.adapters:
                self.adapters.plan(d, DenseLayer(number, y, x, weights, self.weights.format))
            else:
                d.mix(y, x, weights)

        return mix

    def _route(self, y: SlotView, logits: SlotView, module: Any) -> None:
        named, config, gate = self.weights, self.config, families.router_of(module)
        bias = getattr(gate, "bias", None)
        bias = None if bias is None else named.floats("router.bias", bias)
        named.decoder.linear(y, logits, named.small("router", gate.weight), bias)
        self.routers.append(self.keep(logits, gate.num_experts))
        router = families.routing_of(config, gate)
        if router.correction is not None:
            correction = named.floats("router.correction", router.correction)
            router = replace(router, correction=correction)
        self.top_k = router.main
        named.decoder.route(logits, router)

    def _plan_routed(self, y: SlotView, read: SlotView, x: SlotView, module: Any) -> None:
        """Plan the experts that were chosen; with light ones, they read another slot than ``y``."""
        from expertrag_kernels.transformers import plain_experts

        named, nulls = self.weights, families.null_experts(self.config)
        if families.light_experts(self.config):
            vectors = named.floats("light", families.light_vectors(module))
            named.decoder.light(y, read, x, vectors)
        if (low_rank := low_rank_of(module.experts)) is not None:
            self._low_rank(read, x, low_rank)
            return
        blocks = mxfp4_experts(module.experts)  # of a checkpoint that is read as it is
        if blocks is not None:
            experts = named.keep("experts", pack_published(blocks))
        else:
            plain = families.true_experts(plain_experts(module.experts), nulls)
            experts = named.experts("experts", plain, self.experts)
        named.decoder.mix(read, x, experts, self.top_k)

    def _low_rank(self, y: SlotView, x: SlotView, experts: LowRankLayer) -> None:
        """Experts between two bases, and experts of whole neurons; see :mod:`low_rank_experts`."""
        named, d = self.weights, self.weights.decoder
        activation = families.ACTIVATIONS[self.config.hidden_act]
        narrow, total = self._slots(experts.rank)
        d.linear(y, narrow, named.matrix("low_rank.read", experts.read))
        # the sum begins at zero
        d.norm(narrow, total, named.floats("low_rank.zeros", torch.zeros(experts.rank)), 1.0)
        few = PlainExperts(experts.gate_up, experts.down, activation)
        d.mix(narrow, total, named.experts("low_rank.experts", few, self.experts), self.top_k)
        d.linear(total, x, named.matrix("low_rank.write", experts.write), add=True)
        if experts.whole_neurons:
            whole = PlainExperts(experts.whole_gate_up, experts.whole_down, activation)
            d.mix(y, x, named.experts("whole.experts", whole, self.experts), self.top_k)

    def _slots(self, width: int) -> tuple[SlotView, SlotView]:
        """Return two slots of a width, the same for all layers."""
        if width not in self.narrow:
            d = self.weights.decoder
            self.narrow[width] = d.slot(width), d.slot(width)
        return self.narrow[width]

    def _plan_shared(self, y: SlotView, logits: SlotView, x: SlotView, module: Any) -> None:
        named, d = self.weights, self.weights.decoder
        if hasattr(module, "shared_expert"):
            d.linear(y, logits, named.small("shared_gate", module.shared_expert_gate.weight))
            d.route(logits, Router(1, 1, sigmoid=True))
            d.mix(y, x, self.dense("shared", module.shared_expert), 1)
        if hasattr(module, "shared_experts"):
            d.mix(y, x, self.dense("shared", module.shared_experts))

    def dense(self, name: str, module: Any) -> Any:
        """Pack a dense feed-forward, which is one expert."""
        gate_up, down = families.dense_weights(module)
        activation = families.ACTIVATIONS[self.config.hidden_act]
        plain = PlainExperts(gate_up[None], down[None], activation)
        return self.weights.experts(name, plain, self.weights.format)
