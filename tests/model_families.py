"""Tiny random models of every family that our engine runs."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SHAPE: dict[str, Any] = {
    "vocab_size": 301,
    "hidden_size": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LATENT: dict[str, Any] = {
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 12,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 12,
}
GRANITE: dict[str, Any] = {
    "embedding_multiplier": 7.0,
    "residual_multiplier": 0.3,
    "attention_multiplier": 0.2,
    "logits_scaling": 5.0,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama with biases": ("llama", {"attention_bias": True}),
    "llama 3's angles": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral in windows": ("mistral", {"sliding_window": 70}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {}),
    "qwen3, some layers in windows": (
        "qwen3",
        {"use_sliding_window": True, "sliding_window": 33, "max_window_layers": 1},
    ),
    "mixtral": ("mixtral", {"num_local_experts": 5}),
    "olmoe": ("olmoe", {"num_experts": 5}),
    "qwen2_moe": ("qwen2_moe", {"num_experts": 5, "shared_expert_intermediate_size": 40}),
    "qwen2_moe with null experts": (
        "qwen2_moe",
        {
            "num_experts": 8,
            "num_null_experts": 3,
            "shared_expert_intermediate_size": 40,
        },
    ),
    "qwen3_moe with null experts": (
        "qwen3_moe",
        {"num_experts": 6, "num_null_experts": 2, "norm_topk_prob": True},
    ),
    "qwen3_moe": ("qwen3_moe", {"num_experts": 5, "norm_topk_prob": True}),
    "qwen3_moe, some layers dense": (
        "qwen3_moe",
        {"num_experts": 5, "norm_topk_prob": False, "mlp_only_layers": [1]},
    ),
    "qwen3_moe in windows": (
        "qwen3_moe",
        {"num_experts": 5, "use_sliding_window": True, "sliding_window": 64},
    ),
    "gpt_oss": ("gpt_oss", {"num_local_experts": 4, "intermediate_size": 24, "sliding_window": 30}),
    "deepseek_v2": ("deepseek_v2", {**LATENT, "topk_method": "greedy", "q_lora_rank": None}),
    "deepseek_v2 in groups": (
        "deepseek_v2",
        {
            **LATENT,
            "topk_method": "group_limited_greedy",
            "n_group": 4,
            "topk_group": 2,
            "routed_scaling_factor": 2.0,
        },
    ),
    "deepseek_v3": (
        "deepseek_v3",
        {
            **LATENT,
            "head_dim": 4,  # of the part that is rotated
            "n_group": 4,
            "topk_group": 2,
            "attention_bias": True,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "mscale": 1.0,
                "mscale_all_dim": 0.7,
                "original_max_position_embeddings": 64,
            },
        },
    ),
    "deepseek_v3, halves rotated": (
        "deepseek_v3",
        {
            **LATENT,
            "head_dim": 4,  # of the part that is rotated
            "n_group": 1,
            "topk_group": 1,
            "q_lora_rank": None,
            "rope_interleave": False,
            "norm_topk_prob": False,
        },
    ),
    "glm4_moe": (
        "glm4_moe",
        {
            "n_routed_experts": 8,
            "n_shared_experts": 2,
            "n_group": 2,
            "topk_group": 1,
            "routed_scaling_factor": 1.7,
            "use_qk_norm": True,
            "attention_bias": True,
        },
    ),
    "glm4_moe without norms of heads": (
        "glm4_moe",
        {"n_routed_experts": 6, "first_k_dense_replace": 2, "norm_topk_prob": False},
    ),
    "granite": ("granite", {**GRANITE, "tie_word_embeddings": True, "attention_bias": True}),
    "granitemoe": ("granitemoe", {**GRANITE, "num_local_experts": 5, "tie_word_embeddings": True}),
    "granitemoeshared": (
        "granitemoeshared",
        {**GRANITE, "num_local_experts": 5, "shared_intermediate_size": 40},
    ),
    "phimoe": (
        "phimoe",
        {
            "num_local_experts": 5,
            "attention_bias": True,
            "lm_head_bias": True,
            "router_jitter_noise": 0.4,
        },
    ),
    "phimoe with long angles": (
        "phimoe",
        {
            "num_local_experts": 5,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0, 1.2, 1.5, 2.0],
                "long_factor": [2.0, 3.0, 4.0, 5.0],
                "short_mscale": 1.2,
                "long_mscale": 1.3,
                "original_max_position_embeddings": 512,
            },
        },
    ),
}


def model_of(kind: str, **change: Any) -> Any:
    """A random model in float32."""
    torch.manual_seed(0)
    from_config: Any = AutoModelForCausalLM.from_config  # without annotations
    model = from_config(AutoConfig.for_model(kind, **{**SHAPE, **change})).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
            else:
                parameter.normal_(1.0 if "norm" in name else 0.0, 0.1)
    set_corrections(model)
    set_null_experts(model)
    return model


def set_null_experts(model: Any) -> None:
    """Make the weights of a model's null experts zero."""
    if nulls := getattr(model.config, "num_null_experts", 0):
        with torch.no_grad():
            for layer in model.model.layers:
                layer.mlp.experts.gate_up_proj[-nulls:] = 0.0
                layer.mlp.experts.down_proj[-nulls:] = 0.0


def set_corrections(model: Any) -> None:
    """Give the corrections of a model's routers random values; they are zeros in a new model."""
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.normal_(std=0.2)
