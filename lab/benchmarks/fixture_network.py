"""The small mixture of ``fixture_moe.py``: Qwen2-MoE of transformers, its experts, its losses.

Legend: T tokens, E true experts, N null experts, K experts that a router chooses, H hidden.
Null experts have the numbers E to E + N - 1 and weights of zero: who chooses one computes nothing
(AdaMoE, Zeng et al. 2024, arXiv 2406.13233).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM
from transformers.integrations.moe import ExpertsInterface

from expertrag.llm import prompt

_NAME = "fixture"  # of our experts in transformers' interface


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model; ``top_k`` experts a token, null ones included.

    ``normalise``: the weights of a token's experts are made to sum to 1, null ones included.
    """

    layers: int = 4
    hidden: int = 128
    heads: int = 4
    key_heads: int = 2
    experts: int = 16
    null_experts: int = 0
    top_k: int = 4
    normalise: bool = False
    inner: int = 48
    shared_inner: int = 128
    words: int = 4096
    positions: int = 1024


def new_model(shape: Shape, end_token: int, seed: int) -> Any:
    """Return a model with random weights; those of null experts are zero and stay so."""
    ExpertsInterface.register(_NAME, sorted_experts)
    torch.manual_seed(seed)
    config = Qwen2MoeConfig(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.shared_inner,
        moe_intermediate_size=shape.inner,
        shared_expert_intermediate_size=shape.shared_inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        num_experts=shape.experts + shape.null_experts,
        num_experts_per_tok=shape.top_k,
        norm_topk_prob=shape.normalise,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=True,
        bos_token_id=end_token,
        eos_token_id=end_token,
        pad_token_id=end_token,
    )
    config.num_null_experts = shape.null_experts
    config.reader_prompts = prompt.fingerprint()
    model: Any = Qwen2MoeForCausalLM(config)
    model.set_experts_implementation(_NAME)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.gate.weight.normal_(std=config.initializer_range)
            for weights in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj):
                weights[shape.experts :] = 0.0
    return model


class _Permuted(torch.autograd.Function):
    """Rows in another order. The gradient of an index of torch adds up rows, which takes longer."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, order: torch.Tensor, back: torch.Tensor) -> Any:
        ctx.save_for_backward(back)
        return rows[order]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (back,) = ctx.saved_tensors
        return gradients[0][back], None, None


def sorted_experts(
    module: Any,
    hidden_states: torch.Tensor,  # [T, H]
    top_k_index: torch.Tensor,  # [T, K]
    top_k_weights: torch.Tensor,  # [T, K]
) -> torch.Tensor:  # [T, H]
    """Multiply the tokens of each true expert at once; tokens are sorted by expert."""
    experts = module.num_experts - getattr(module.config, "num_null_experts", 0)
    tokens, top_k = top_k_index.shape
    chosen = top_k_index.flatten()
    order = chosen.argsort()
    back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    counts = chosen.bincount(minlength=module.num_experts)[:experts].tolist()
    pairs = hidden_states[:, None].expand(-1, top_k, -1).reshape(tokens * top_k, -1)
    nulls = tokens * top_k - sum(counts)
    permuted: Any = _Permuted.apply  # without annotations in torch
    *parts, _ = permuted(pairs, order, back).split([*counts, nulls])
    found = [
        F.linear(_gated(F.linear(part, gate_up)), down)
        for part, gate_up, down in zip(parts, module.gate_up_proj, module.down_proj, strict=False)
    ]
    found.append(hidden_states.new_zeros(nulls, hidden_states.shape[1]))
    each: torch.Tensor = permuted(torch.cat(found), back, order).view(tokens, top_k, -1)
    return (top_k_weights[:, None] @ each)[:, 0]


def _gated(both: torch.Tensor) -> torch.Tensor:
    gate, up = both.chunk(2, dim=-1)
    return F.silu(gate) * up


def balance_loss(routers: Sequence[torch.Tensor], top_k: int, null_experts: int) -> torch.Tensor:
    """Return the load balancing loss, mean over the layers; 1 if the load is even.

    As in Switch Transformer (Fedus et al. 2022, eq. 4), but null experts count with their mean load
    (AdaMoE): nothing prefers one of them to another.

    :param routers: logits (T, E + N) of each layer.
    """
    total = torch.zeros(())
    for logits in routers:
        shares = logits.float().softmax(-1)  # [T, E + N]
        chosen = logits.topk(top_k).indices.flatten()
        experts = logits.shape[1]
        load = chosen.bincount(minlength=experts) / len(chosen)  # [E + N]
        if null_experts:
            load[experts - null_experts :] = load[experts - null_experts :].mean()
        total = total + experts * (load * shares.mean(0)).sum()
    return total / len(routers)


@dataclass(frozen=True, slots=True)
class Pass:
    """Losses (B, L - 1) of each token but the first of B rows, hits, and router logits by layer."""

    losses: torch.Tensor
    hits: torch.Tensor
    routers: tuple[torch.Tensor, ...]


def run(model: nn.Module, tokens: torch.Tensor) -> Pass:
    """Run rows of tokens (B, L); ``hits``: whether the likeliest next token is the right one."""
    base: Any = model.get_submodule("model")
    output = base(input_ids=tokens, use_cache=False, output_router_logits=True)
    head: Any = model.get_submodule("lm_head")
    logits = head(output.last_hidden_state[:, :-1]).flatten(0, 1)
    targets = tokens[:, 1:]
    losses = F.cross_entropy(logits, targets.flatten(), reduction="none").view_as(targets)
    hits = logits.detach().argmax(-1).view_as(targets) == targets
    return Pass(losses, hits, tuple(output.router_logits))
