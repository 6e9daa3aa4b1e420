"""Models of every family as our steps, against transformers; and what is left to it, with why."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from expertrag.generation.lowering import Unsupported, lower
from expertrag_kernels import Format
from expertrag_kernels.steps import Text

_SHAPE: dict[str, Any] = {
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
_LATENT: dict[str, Any] = {
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
_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
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
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {}),
    "mixtral": ("mixtral", {"num_local_experts": 5}),
    "olmoe": ("olmoe", {"num_experts": 5}),
    "qwen2_moe": ("qwen2_moe", {"num_experts": 5, "shared_expert_intermediate_size": 40}),
    "qwen3_moe": ("qwen3_moe", {"num_experts": 5, "norm_topk_prob": True}),
    "qwen3_moe, some layers dense": (
        "qwen3_moe",
        {"num_experts": 5, "norm_topk_prob": False, "mlp_only_layers": [1]},
    ),
    "deepseek_v2": ("deepseek_v2", {**_LATENT, "topk_method": "greedy", "q_lora_rank": None}),
    "deepseek_v2 in groups": (
        "deepseek_v2",
        {
            **_LATENT,
            "topk_method": "group_limited_greedy",
            "n_group": 4,
            "topk_group": 2,
            "routed_scaling_factor": 2.0,
        },
    ),
}


def _model(kind: str, **change: Any) -> Any:
    torch.manual_seed(0)
    from_config: Any = AutoModelForCausalLM.from_config  # without annotations
    model = from_config(AutoConfig.for_model(kind, **{**_SHAPE, **change})).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
            else:
                parameter.normal_(1.0 if "norm" in name else 0.0, 0.1)
    return model


def _lower(model: Any, format: Format, tokens: int = 512) -> Any:
    return lower(model, format, cache_bytes=1 << 22, context_tokens=tokens)


@pytest.mark.parametrize("family", _FAMILIES)
def test_logits_are_those_of_transformers(family: str) -> None:
    kind, change = _FAMILIES[family]
    model = _model(kind, **change)
    ids = torch.randint(3, 301, (150,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = model(input_ids=ids[None]).logits[0]
    places = torch.arange(150)
    for format, most in ((Format.F32, 1e-5), (Format.BF16, 0.05), (Format.INT8, 0.15)):
        decoder = _lower(model, format).decoder
        found, _ = decoder.run(ids, places, [Text(0, 150, torch.tensor([2, 0, 1]))], places)
        # a router that hesitates turns rows, of which the median knows nothing
        errors = (found - wanted).norm(dim=1) / wanted.norm(dim=1)
        assert errors.median() < most, format


def test_what_is_kept_of_watched_rows() -> None:
    model = _model("mixtral", num_local_experts=5)
    lowered = _lower(model, Format.F32)
    ids = torch.arange(3, 40)
    with torch.inference_mode():
        output = model(input_ids=ids[None], output_hidden_states=True, output_router_logits=True)
    places = torch.arange(37)
    texts = [Text(0, 37, torch.tensor([0]))]
    _, kept = lowered.decoder.run(ids, places, texts, places[-1:], places[-5:])
    for place, logits in zip(lowered.routers, output.router_logits, strict=True):
        torch.testing.assert_close(kept[place], logits[-5:], atol=1e-4, rtol=1e-4)
    for place, layer in ((lowered.middle, 1), (lowered.upper, 2)):
        hidden = output.hidden_states[layer][0, -5:]
        torch.testing.assert_close(kept[place], hidden, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("gemma2", {}, "models of type gemma2 are not known"),
        ("mistral", {"sliding_window": 64}, "sliding windows of 64 tokens"),
        ("olmoe", {"num_experts": 5, "clip_qkv": 8.0}, "clipped queries and keys"),
        ("llama", {"hidden_act": "tanh"}, "activation tanh"),
        ("llama", {"mlp_bias": True}, "biases of a dense layer"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "position encoding dynamic",
        ),
    ],
)
def test_what_is_left_to_transformers(kind: str, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        _lower(_model(kind, **change), Format.F32)


def test_a_window_that_no_text_reaches_is_none() -> None:
    _lower(_model("mistral", sliding_window=64), Format.F32, tokens=64)


def test_a_cache_too_small_for_a_page() -> None:
    with pytest.raises(Unsupported, match="holds no 64 tokens"):
        lower(_model("llama"), Format.F32, cache_bytes=1000, context_tokens=512)
