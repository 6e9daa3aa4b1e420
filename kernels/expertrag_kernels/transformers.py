"""Registration with transformers' experts interface, under the name "expertrag".

Experts that our layout cannot hold (biases, transposed or interleaved weights, custom gates and
norms, unknown activations) go to transformers' own ``grouped_mm``, with one logged reason for each
module class.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn
from transformers import activations
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, ExpertsInterface

from expertrag_kernels.dispatch import fused_experts
from expertrag_kernels.packed import Activation, PackedExperts

NAME = "expertrag"
_FALLBACK = "grouped_mm"
_log = logging.getLogger(__name__)

_ACTIVATIONS: dict[object, Activation] = {
    nn.SiLU: Activation.SILU,
    F.silu: Activation.SILU,
    activations.SiLUActivation: Activation.SILU,
    activations.GELUActivation: Activation.GELU,
    activations.GELUTanh: Activation.GELU_TANH,
    nn.ReLU: Activation.RELU,
}


def register() -> None:
    """Make ``experts_implementation="expertrag"`` known to transformers; safe to call twice."""
    ExpertsInterface.register(NAME, _experts_forward)


def pack(module: nn.Module) -> PackedExperts:
    """View the weights of a transformers experts module as packed experts; nothing is copied.

    :raises ValueError: if the module's layout is not ours; the message says why.
    """
    reason = _unsupported(module)
    if reason:
        raise ValueError(f"{type(module).__name__} cannot be packed: {reason}")
    return _view(module)


def _experts_forward(
    module: nn.Module,
    hidden_states: torch.Tensor,  # [T, H]
    top_k_index: torch.Tensor,  # [T, K]
    top_k_weights: torch.Tensor,  # [T, K]
) -> torch.Tensor:  # [T, H]
    reason = _unsupported(module)
    if reason:
        _log_once(type(module).__qualname__, reason)
        output: torch.Tensor = ALL_EXPERTS_FUNCTIONS[_FALLBACK](
            module, hidden_states, top_k_index, top_k_weights
        )
        return output
    return fused_experts(hidden_states, top_k_index, top_k_weights, _view(module))


def _view(module: nn.Module) -> PackedExperts:
    gate_up, down = module.gate_up_proj, module.down_proj
    assert isinstance(gate_up, torch.Tensor) and isinstance(down, torch.Tensor)
    return PackedExperts(gate_up, down, _ACTIVATIONS[_key(module.act_fn)])


def _key(act_fn: object) -> object:
    return type(act_fn) if isinstance(act_fn, nn.Module) else act_fn


def _unsupported(module: nn.Module) -> str:
    """Why our layout cannot hold these experts; empty if it can."""
    kind: object = type(module)
    reason = _class_reason(kind, *(bool(getattr(module, flag, True)) for flag in _FLAGS))
    if reason:
        return reason
    if _key(getattr(module, "act_fn", None)) not in _ACTIVATIONS:
        return f"unknown activation {type(getattr(module, 'act_fn', None)).__name__}"
    weight = getattr(module, "gate_up_proj", None)
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
        return "no floating-point gate_up_proj"
    if weight.element_size() < 2:
        return f"{weight.dtype} weights"
    return ""


# A flag that a module lacks counts as set, so an unknown kind of module falls back.
_FLAGS = ("has_gate", "has_bias", "has_post_expert_norm", "is_transposed", "is_concatenated")


@cache
def _class_reason(
    kind: object,
    has_gate: bool,
    has_bias: bool,
    has_post_expert_norm: bool,
    is_transposed: bool,
    is_concatenated: bool,
) -> str:
    gate_home = getattr(getattr(kind, "_apply_gate", None), "__module__", "")
    reasons = {
        "no gate": not has_gate,
        "biases": has_bias,
        "a norm after the experts": has_post_expert_norm,
        "transposed weights": is_transposed,
        "interleaved gate and up": not is_concatenated,
        "a gate function of its own": gate_home != ExpertsInterface.__module__,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


@cache
def _log_once(kind: str, reason: str) -> None:
    _log.warning("%s runs with %s instead of our kernels: %s", kind, _FALLBACK, reason)
