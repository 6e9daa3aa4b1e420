"""How families of models differ: parts of their modules, routers and multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from expertrag_kernels.packed import Activation, PlainExperts
from expertrag_kernels.router import Router

DENSE = ("llama", "mistral", "qwen2", "qwen3", "granite")
MIXTURES = (
    "mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v3", "glm4_moe",
    "granitemoe", "granitemoeshared", "phimoe", "gpt_oss",
)  # fmt: skip
WINDOWED = ("mistral", "mixtral", "qwen3_moe", "phimoe")
"""Families whose layers all have the window, whatever their configuration calls them."""
ACTIVATIONS = {
    "silu": Activation.SILU,
    "gelu": Activation.GELU,
    "gelu_pytorch_tanh": Activation.GELU_TANH,
    "relu": Activation.RELU,
}
"""Activations by their names in a configuration."""
WITH_NULL_EXPERTS = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")
"""Families whose last experts may be null experts: their routers choose by softmax alone."""
LIGHT = "num_light_experts_per_tok"
"""Name in a configuration of how many of ``num_experts_per_tok`` are light."""
LIGHT_NEURONS = "num_light_neurons"
"""Name in a configuration of how many neurons a light expert has."""
_NORMALISED = ("mixtral", "granitemoe", "granitemoeshared", "gpt_oss")


def feed_forward(layer: Any) -> Any:
    """Return the feed-forward network of a layer, dense or a mixture."""
    return layer.mlp if hasattr(layer, "mlp") else layer.block_sparse_moe


def router_of(mixture: Any) -> Any:
    """Return the router of a mixture."""
    return mixture.gate if hasattr(mixture, "gate") else mixture.router


def null_experts(config: Any) -> int:
    """Return how many of a mixture's experts, the last ones, have weights of zero (AdaMoE)."""
    return int(getattr(config, "num_null_experts", None) or 0)


def light_experts(config: Any) -> int:
    """Return how many of a token's experts, the ones with the least weights, are light."""
    return int(getattr(config, LIGHT, None) or 0)


def light_neurons(config: Any) -> int:
    """Return how many neurons a light expert has."""
    return int(getattr(config, LIGHT_NEURONS, None) or 0)


def light_vectors(mixture: Any) -> torch.Tensor:
    """Return the vectors (E, 3 + 3 N, H) of a mixture's light experts."""
    vectors: torch.Tensor = mixture.light_vectors
    return vectors


def experts_of(config: Any) -> int:
    """Return how many experts a layer has, null ones included; 0 for a dense model."""
    return int(
        getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None) or 0
    )


def true_experts(plain: PlainExperts, nulls: int) -> PlainExperts:
    """Return a view of a layer's experts but the null ones, whose weights need not be packed.

    :raises ValueError: a null expert computes something.
    """
    if not nulls:
        return plain
    if not plain.down.is_meta and bool(plain.down[-nulls:].any()):
        raise ValueError("null experts must have weights of zero")
    return PlainExperts(plain.gate_up[:-nulls], plain.down[:-nulls], plain.activation)


def correction_of(router: Any) -> torch.Tensor | None:
    """Return what a router adds to its experts' scores (E,) before it chooses, if anything."""
    bias: torch.Tensor | None = getattr(router, "e_score_correction_bias", None)
    return bias


def dense_weights(module: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gate and up (2I, H), and down (H, I), of a dense network."""
    if hasattr(module, "input_linear"):  # Granite's shared experts
        return module.input_linear.weight, module.output_linear.weight
    gate_up = torch.cat([module.gate_proj.weight, module.up_proj.weight])
    return gate_up, module.down_proj.weight


def routing_of(config: Any, gate: Any) -> Router:
    """Return how a layer's router chooses, by the configuration and the module of the router."""
    sizes = gate.num_experts, gate.top_k, null_experts(config), light_experts(config)
    if config.model_type == "phimoe":
        return Router(*sizes, mixer_margin=2 * gate.router_jitter_noise)
    correction, method = correction_of(gate), getattr(gate, "topk_method", "")
    limited = correction is not None or method == "group_limited_greedy"
    normalises = config.model_type in _NORMALISED or getattr(gate, "norm_topk_prob", False)
    return Router(
        *sizes,
        normalise=bool(normalises),
        groups=gate.num_group if limited else 1,
        top_groups=gate.topk_group if limited else 1,
        scale=getattr(gate, "routed_scaling_factor", 1.0),
        correction=correction,
    )


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Granite's multipliers, in a form that changes no matrix; 1 for other families.

    A layer of Granite adds r * f(norm(h)) to the residual stream h, which begins as m embeddings.
    Rows hold h / r instead, to which f(norm(h)) is added as it is. It begins as ``embedding``,
    m / r, embeddings, and is multiplied by ``residual``, r, when it leaves the decoder. The norm of
    h / r equals the norm of h if its epsilon is divided by r². Logits are multiplied by ``logits``.
    """

    embedding: float = 1.0
    residual: float = 1.0
    logits: float = 1.0

    @classmethod
    def of(cls, config: Any) -> Multipliers:
        """Read a configuration."""
        residual = float(getattr(config, "residual_multiplier", 1.0))
        embedding = float(getattr(config, "embedding_multiplier", 1.0))
        return cls(
            embedding / residual, residual, 1.0 / float(getattr(config, "logits_scaling", 1.0))
        )


def moving_angles(config: Any, context_tokens: int) -> str:
    """Name a position encoding whose angles depend on a sequence's length; empty if they do not.

    Up to the length of the original training, LongRoPE has the same angles for all lengths (Ding et
    al. 2024).
    """
    rope = getattr(config, "rope_parameters", None) or {}
    kind = str(rope.get("rope_type", "default"))
    if kind == "longrope":
        original = int(rope["original_max_position_embeddings"])
        return f"{kind} beyond {original} tokens" if context_tokens > original else ""
    return kind if kind == "dynamic" else ""


def find_unsupported(config: Any, context_tokens: int) -> str:
    """Return why a model is left to transformers; empty if it is not."""
    kind = config.model_type
    moving = moving_angles(config, context_tokens)
    activation = getattr(config, "hidden_act", None)
    nulls = null_experts(config)
    reasons = {
        f"models of type {kind} are not known": kind not in (*DENSE, *MIXTURES),
        f"activation {activation}": activation not in ACTIVATIONS,
        f"position encoding {moving}": bool(moving),
        f"null experts of type {kind}": nulls > 0 and kind not in WITH_NULL_EXPERTS,
        f"{nulls} null experts of {experts_of(config)}": nulls > max(0, experts_of(config) - 2),
        "clipped queries and keys": getattr(config, "clip_qkv", None) is not None,
        "biases of a dense layer": bool(getattr(config, "mlp_bias", False)),
        "SparseMixer without two experts per token": kind == "phimoe"
        and config.num_experts_per_tok != 2,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)
