"""Lower a transformers decoder to our own steps: pack its weights, and plan a step per operation.

Dense families: Llama, Mistral, Qwen2, Qwen3 and Granite. Mixtures: Mixtral, OLMoE, Qwen2-MoE,
Qwen3-MoE, Granite-MoE, Phi-MoE, gpt-oss (attention sinks, biases), GLM-4.5-MoE, DeepSeek-V2 and V3
(multi-head latent attention, shared experts). A model with any other feature is left to
transformers, which is also the reference for all of them in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from expertrag.llm.adapters.served import ServedAdapters, of_a_mixture
from expertrag.llm.engine import families
from expertrag.llm.engine.families import Multipliers, feed_forward
from expertrag.llm.engine.mixture_steps import MixtureSteps
from expertrag.llm.engine.named_weights import NamedWeights
from expertrag.llm.engine.planning import angles_of
from expertrag_kernels import Format, Packed
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.steps import (
    OUTPUT,
    PAGE_TOKENS,
    AttentionViews,
    CacheShape,
    SlotView,
    Steps,
)

_P = TypeVar("_P", bound=Packed)
_W = TypeVar("_W")

MakeDecoder = Callable[[CacheShape, int], Steps[Any, Any]]
Filled = Callable[[nn.Module], AbstractContextManager[None]]
"""Gives the parameters of a module their values while the context is open."""


def as_it_is(module: nn.Module) -> AbstractContextManager[None]:
    """Leave a module unchanged, as it has its values."""
    del module
    return nullcontext()


class Unsupported(ValueError):
    """A model has a feature that our steps do not compute; the message names it."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """A decoder, and the indices of the hidden values that it keeps.

    ``routers``: indices of the layers' router logits among the kept values; ``middle`` and
    ``upper``: of the states after half and three quarters of the layers. ``weights``: the decoder's
    weights by name. ``top_k``: experts that routers choose for a token, without the
    ``light_experts`` that they choose besides; ``null_experts`` of a layer compute nothing.
    ``adapters``: the adapters of a served reader; ``expert_updates``: what a sequence of each of
    its experts adds to the base model's weights, unless the experts are planned.
    """

    decoder: Steps[Any, Any]
    weights: Mapping[str, Any]
    routers: tuple[int, ...]
    middle: int
    upper: int
    top_k: int = 0
    adapters: ServedAdapters | None = None
    expert_updates: tuple[tuple[Any, ...], ...] = ()
    null_experts: int = 0
    light_experts: int = 0


def lower(
    model: Any,
    format: Format,
    *,
    experts: Format | None = None,
    cache_bytes: int,
    context_tokens: int,
    filled: Filled = as_it_is,
    packed: Mapping[str, Packed] | None = None,
    make: MakeDecoder = Decoder,
    adapters: ServedAdapters | None = None,
) -> Lowered:
    """Pack a model's weights, and plan its steps.

    :param model: of transformers, on the CPU; its weights are not changed.
    :param format: of the weights; int8 and int4 leave routers and norms in bfloat16 and float32.
    :param experts: of the experts of mixtures; None for ``format``.
    :param cache_bytes: size of the KV cache; capped at what 64 sequences of full length need.
    :param filled: opened while each layer is read, for a model on the meta device.
    :param packed: weights that an earlier run packed (``Lowered.weights``), used instead of the
        model's.
    :param make: makes the decoder that runs the steps, from a cache shape and a number of pages.
    :param adapters: adapters of a dense model.
    :raises InvalidArgument: ``adapters`` are given for a mixture.
    :raises Unsupported: our steps cannot compute the model; nothing was filled.
    :raises ValueError: weights are not finite, or ``packed`` belongs to another model.
    """
    check(model, context_tokens)
    if adapters and any(hasattr(feed_forward(layer), "experts") for layer in model.model.layers):
        raise of_a_mixture()
    if make is Decoder and not ISAS:
        raise Unsupported("there are no compiled kernels")
    config = model.config.get_text_config()
    formats = format, experts or format
    given = model, config, *formats, cache_bytes, context_tokens, filled, packed, make, adapters
    return _Lowering(*given).lower_model()


def check(model: Any, context_tokens: int) -> None:
    """Check that our steps can compute a model; its weights are not needed.

    :raises Unsupported: they cannot.
    """
    reason = families.find_unsupported(model.config.get_text_config(), context_tokens)
    if reason or (reason := _unknown_experts(model)):
        raise Unsupported(reason)


def _unknown_experts(model: Any) -> str:
    from expertrag_kernels.transformers import plain_experts

    try:
        for layer in model.model.layers:
            if hasattr(feed_forward(layer), "experts"):
                plain_experts(feed_forward(layer).experts)
    except ValueError as error:
        return str(error)
    return ""


@dataclass(slots=True)
class _Lowering:
    """The lowering of one model. Slots hold rows: x (residual), y (normed), and layer values."""

    model: Any
    config: Any
    format: Format
    experts: Format
    cache_bytes: int
    context_tokens: int
    filled: Filled
    given: Mapping[str, Packed] | None
    make: MakeDecoder
    adapters: ServedAdapters | None
    decoder: Steps[Any, Any] = field(init=False)
    named: NamedWeights = field(init=False)
    mixtures: MixtureSteps = field(init=False)
    multipliers: Multipliers = field(init=False)
    kept: int = field(init=False, default=0)

    def lower_model(self) -> Lowered:
        base, layers = self.model.model, self.model.model.layers
        exact = Format.F32 if self.format is Format.F32 else Format.BF16
        latent = hasattr(layers[0].self_attn, "kv_a_proj_with_mqa")
        shape = self._cache_shape(exact, latent=latent)
        pages = shape.most_pages(self.cache_bytes, self.context_tokens)
        if not pages:
            raise Unsupported(
                f"a cache of {self.cache_bytes >> 20} MiB is too small for one page of 64 tokens"
            )
        d = self.decoder = self.make(shape, pages)
        self.named = NamedWeights(d, self.format, self.given)
        scales = self.multipliers = Multipliers.of(self.config)
        hidden = self.config.hidden_size
        x, y = d.slot(hidden), d.slot(hidden)
        longest = self.context_tokens
        if not all(self._window(number) for number in range(len(layers))):
            longest = min(longest, pages * PAGE_TOKENS)  # of the pages of a sequence, all are read
        # packed frequencies may differ from the configuration's
        base.rotary_emb.inv_freq = self.named.floats("angles", base.rotary_emb.inv_freq)
        cos, sin = angles_of(base.rotary_emb, longest)
        out, out_bias = self._embed(x, exact)
        attend = self._latent(x, y, cos, sin) if latent else self._attention(x, y, cos, sin)
        given = self.config, self.named, self.experts, self.adapters, self._keep
        mixtures = self.mixtures = MixtureSteps(*given)
        mix = mixtures.planner(x, y)
        middle, upper = (max(1, len(layers) * part // 4) for part in (2, 3))
        states = {}
        for number, layer in enumerate(layers):
            self._layer(number, layer, x, y, attend, mix)
            if number + 1 in (middle, upper):
                states[number + 1] = self._keep(x, hidden, scales.residual)
        self.named.at = ""
        last = d.slot(hidden)
        d.pick(x, last)
        with self.filled(base.norm):
            self._norm_residual("norm", last, last, base.norm, scales.logits)
        d.linear(last, OUTPUT, out, out_bias)
        weights = self.named.names
        kept = tuple(mixtures.routers), states[middle], states[upper]
        updates = self.adapters.updates(d, weights) if self.adapters else ()
        nulls, light = families.null_experts(self.config), families.light_experts(self.config)
        return Lowered(d, weights, *kept, mixtures.top_k, self.adapters, updates, nulls, light)

    def _cache_shape(self, exact: Format, *, latent: bool) -> CacheShape:
        layers = self.model.model.layers
        attention = layers[0].self_attn
        if not latent:
            width = attention.head_dim
            heads = self.config.num_key_value_heads
            return CacheShape(len(layers), heads, width, width, format=exact)
        return CacheShape(
            len(layers),
            attention.num_heads,
            attention.qk_nope_head_dim,
            attention.v_head_dim,
            attention.qk_rope_head_dim,
            format=exact,
        )

    def _embed(self, x: SlotView, exact: Format) -> tuple[Any, torch.Tensor | None]:
        """Plan the embedding of the tokens, and return the head's weights and bias."""
        # in 4 bits, embeddings and head would lose more accuracy than all else together
        rounded = Format.INT8 if self.format is Format.INT4 else self.format
        head, words = self.model.lm_head, self.model.model.embed_tokens
        tied = head.weight is words.weight
        with self.filled(head):
            out = self.named.matrix("head", head.weight, rounded)
            bias = None if head.bias is None else self.named.floats("head.bias", head.bias)
        with nullcontext() if tied else self.filled(words):
            table = out if tied else self.named.matrix("words", words.weight, exact)
            self.decoder.embed(x, table, self.multipliers.embedding)
        return out, bias

    def _layer(
        self,
        number: int,
        layer: Any,
        x: SlotView,
        y: SlotView,
        attend: Callable[[int, Any], None],
        mix: Callable[[int, Any], None],
    ) -> None:
        self.named.at = f"layers.{number}."
        with self.filled(layer):
            self._norm_residual("attention_norm", x, y, layer.input_layernorm)
            attend(number, layer.self_attn)
            self._norm_residual("mixture_norm", x, y, layer.post_attention_layernorm)
            mix(number, feed_forward(layer))
            if getattr(layer, "shared_mlp", None) is not None:
                self.decoder.mix(y, x, self.mixtures.dense("shared", layer.shared_mlp))

    def _attention(
        self, x: SlotView, y: SlotView, cos: torch.Tensor, sin: torch.Tensor
    ) -> Callable[[int, Any], None]:
        """Grouped-query attention."""
        d, config = self.decoder, self.config
        heads, groups, width = (
            config.num_attention_heads,
            config.num_key_value_heads,
            d.shape.own_width,
        )
        qkv = d.slot((heads + 2 * groups) * width)
        query, key, value = (
            SlotView(qkv.slot, start * width, width) for start in (0, heads, heads + groups)
        )
        out = d.slot(heads * width)

        def attend(number: int, module: Any) -> None:
            projections = module.q_proj, module.k_proj, module.v_proj
            weight = torch.cat([projection.weight for projection in projections])
            biases = [p.bias for p in projections if p.bias is not None]
            bias = self.named.floats("qkv.bias", torch.cat(biases)) if biases else None
            d.linear(y, qkv, self.named.matrix("qkv", weight), bias)
            if hasattr(module, "q_norm"):
                self._norm("query_norm", query, query, module.q_norm, heads)
                self._norm("key_norm", key, key, module.k_norm, groups)
            d.rope(query, heads, cos, sin, interleaved=False)
            d.rope(key, groups, cos, sin, interleaved=False)
            sinks = getattr(module, "sinks", None)
            d.attend(
                AttentionViews(query, key, value, SlotView(out.slot, 0, width)),
                layer=number,
                heads=heads,
                scale=module.scaling,
                window=self._window(number),
                sinks=None if sinks is None else self.named.floats("sinks", sinks),
            )
            self._linear("out", out, x, module.o_proj, add=True)

        return attend

    def _window(self, number: int) -> int:
        """Return how many of the last tokens a layer attends to; 0 for all."""
        window = getattr(self.config, "sliding_window", None) or self.context_tokens
        if window >= self.context_tokens:
            return 0
        kinds = getattr(self.config, "layer_types", None)
        slides = kinds is not None and kinds[number] == "sliding_attention"
        return window if slides or self.config.model_type in families.WINDOWED else 0

    def _latent(
        self, x: SlotView, y: SlotView, cos: torch.Tensor, sin: torch.Tensor
    ) -> Callable[[int, Any], None]:
        """Multi-head latent attention (DeepSeek-V2 and V3); keys and values are cached expanded."""
        d, config = self.decoder, self.config
        heads = config.num_attention_heads
        own, turned, value_width = (
            config.qk_nope_head_dim,
            config.qk_rope_head_dim,
            config.v_head_dim,
        )
        low = d.slot(config.q_lora_rank) if config.q_lora_rank else y
        query = SlotView(d.slot(heads * (own + turned)).slot, 0, own + turned)
        latent = d.slot(config.kv_lora_rank + turned)
        shared = SlotView(latent.slot, config.kv_lora_rank, 0)
        interleaved = bool(getattr(config, "rope_interleave", True))
        expanded = SlotView(d.slot(heads * (own + value_width)).slot, 0, own + value_width)
        value = SlotView(expanded.slot, own, own + value_width)
        out = d.slot(heads * value_width)

        def attend(number: int, module: Any) -> None:
            if config.q_lora_rank:
                self._linear("query_a", y, low, module.q_a_proj)
                self._norm("query_a_norm", low, low, module.q_a_layernorm)
                self._linear("query_b", low, query, module.q_b_proj)
            else:
                self._linear("query", y, query, module.q_proj)
            self._linear("latent", y, latent, module.kv_a_proj_with_mqa)
            self._norm("latent_norm", latent, latent, module.kv_a_layernorm)
            self._linear("expand", latent, expanded, module.kv_b_proj)
            d.rope(query._replace(start=own), heads, cos, sin, interleaved=interleaved)
            d.rope(shared, 1, cos, sin, interleaved=interleaved)
            to = SlotView(out.slot, 0, value_width)
            views = AttentionViews(query, expanded, value, to, shared)
            d.attend(views, layer=number, heads=heads, scale=module.scaling)
            self._linear("out", out, x, module.o_proj, add=True)

        return attend

    def _keep(self, view: SlotView, width: int, scale: float = 1.0) -> int:
        self.decoder.keep(view, width, scale)
        self.kept += 1
        return self.kept - 1

    def _norm(self, name: str, source: SlotView, to: SlotView, module: Any, heads: int = 1) -> None:
        """Normalise a row, or each head of it if the weight is as wide as a head."""
        width = source.step * heads
        parts = heads if module.weight.numel() < width else 1
        weight = self.named.floats(name, module.weight)
        self.decoder.norm(source, to, weight, module.variance_epsilon, parts)

    def _norm_residual(
        self, name: str, source: SlotView, to: SlotView, module: Any, scale: float = 1.0
    ) -> None:
        """Normalise the residual stream; the result is multiplied by ``scale``."""
        weight = self.named.floats(name, module.weight.float() * scale)
        if isinstance(module, nn.LayerNorm):
            bias = self.named.floats(f"{name}.bias", module.bias.float() * scale)
            self.decoder.norm(source, to, weight, module.eps, bias=bias)
            return
        epsilon = module.variance_epsilon / self.multipliers.residual**2
        self.decoder.norm(source, to, weight, epsilon)

    def _linear(
        self, name: str, source: SlotView, to: SlotView, module: Any, *, add: bool = False
    ) -> None:
        bias = None if module.bias is None else self.named.floats(f"{name}.bias", module.bias)
        self.decoder.linear(source, to, self.named.matrix(name, module.weight), bias, add=add)
