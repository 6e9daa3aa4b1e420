"""Registers the kernels with transformers' experts interface, under the name "expertrag".

The packed layout does not support all experts as they are: biases, transposed or interleaved
weights, custom gates and norms, unknown activations. Such experts fall back to transformers'
``grouped_mm``, and the reason is logged once per module class. Of these, :func:`pack` knows the
experts of gpt-oss.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import activations
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, ExpertsInterface

from expertrag_kernels import layout
from expertrag_kernels.cpu_experts import pack_plain
from expertrag_kernels.dispatch import fused_experts
from expertrag_kernels.interleaved import holds_interleaved, read_interleaved
from expertrag_kernels.packed import (
    Activation,
    Experts,
    Format,
    Mxfp4Experts,
    PackedExperts,
    PlainExperts,
)

NAME = "expertrag"
_FALLBACK = "grouped_mm"
_PACKED = "_expertrag_packed"
_log = logging.getLogger(__name__)

_ACTIVATIONS: dict[object, Activation] = {
    nn.SiLU: Activation.SILU,
    F.silu: Activation.SILU,
    activations.SiLUActivation: Activation.SILU,
    activations.GELUActivation: Activation.GELU,
    activations.GELUTanh: Activation.GELU_TANH,
    nn.ReLU: Activation.RELU,
}

_OWN_FORMAT = {torch.float32: Format.F32, torch.bfloat16: Format.BF16}


def register() -> None:
    """Register ``experts_implementation="expertrag"`` with transformers. Idempotent."""
    ExpertsInterface.register(NAME, _experts_forward)


def pack(
    experts: nn.Module | PlainExperts | Mxfp4Experts, format: Format | str | None = None
) -> PackedExperts:
    """Pack the experts of one layer for the CPU kernels; the given weights are not changed.

    :param experts: a transformers experts module, or its tensors.
    :param format: None for the format of the weights' own type, which is exact.
    :raises ValueError: the module is not supported, no format matches the weights' type, or blocks
        of MXFP4 are to have another format; the message says why.
    """
    if isinstance(experts, Mxfp4Experts):
        if format not in (None, Format.MXFP4):
            raise ValueError(f"blocks of MXFP4 are packed as they are, not in {format}")
        return layout.pack_published(experts)
    plain = experts if isinstance(experts, PlainExperts) else plain_experts(experts)
    dtype = plain.down.dtype
    if format is None and dtype not in _OWN_FORMAT:
        plain.check()
        raise ValueError(_no_format(dtype))
    return pack_plain(plain, _OWN_FORMAT[dtype] if format is None else Format(format))


def plain_experts(module: nn.Module) -> PlainExperts:
    """Return a view of the weights of a transformers experts module, without a copy.

    Gate and up of gpt-oss are copied.

    :raises ValueError: the module is not supported; the message says why.
    """
    if holds_interleaved(module):
        return read_interleaved(module)
    reason = _find_unsupported(module)
    if reason:
        raise ValueError(f"{type(module).__name__} cannot be packed: {reason}")
    return _view(module)


def pack_model(model: nn.Module, format: Format | str | None = None) -> int:
    """Pack the experts of every layer in place, and free the original weights.

    Returns how many layers were packed; unsupported layers run as before. A packed model is for
    inference on the CPU: call :func:`unpack_model` before training, saving or moving it.

    :param format: as for :func:`pack`.
    :raises ValueError: as :func:`pack`, except for unsupported modules; or the model is not on the
        CPU, or does not run its experts with "expertrag".
    """
    modules = [
        module
        for module in model.modules()
        if _holds_experts(module) and not _find_unsupported(module) and not hasattr(module, _PACKED)
    ]
    for module in modules:
        plain = _view(module)
        used = getattr(getattr(module, "config", None), "_experts_implementation", NAME)
        if used != NAME:
            raise ValueError(
                f"the model runs its experts with {used!r}, which needs their weights: call "
                f"model.set_experts_implementation({NAME!r}) first"
            )
        if plain.device.type != "cpu":
            raise ValueError(f"packed experts run on the CPU; the model is on {plain.device}")
        if format is None and plain.down.dtype not in _OWN_FORMAT:
            raise ValueError(_no_format(plain.down.dtype))
    for module in modules:  # each module stays usable, even if memory runs out in between
        packed = pack(module, format)
        hook = module.register_state_dict_pre_hook(_refuse_state)
        setattr(module, _PACKED, (packed, module.down_proj.dtype, hook))
        _set_weights(module, torch.empty(0), torch.empty(0))
    return len(modules)


def unpack_model(model: nn.Module) -> None:
    """Undo :func:`pack_model`; int8 and int4 restore the rounded weights."""
    for module in model.modules():
        if hasattr(module, _PACKED):
            packed, dtype, hook = getattr(module, _PACKED)
            plain = layout.unpack(packed)
            _set_weights(module, plain.gate_up.to(dtype), plain.down.to(dtype))
            hook.remove()
            delattr(module, _PACKED)


def _no_format(dtype: torch.dtype) -> str:
    return f"no format stores {dtype} exactly: choose one of {', '.join(Format)}"


def _set_weights(module: nn.Module, gate_up: torch.Tensor, down: torch.Tensor) -> None:
    for parameter, data in ((module.gate_up_proj, gate_up), (module.down_proj, down)):
        assert isinstance(parameter, nn.Parameter)
        parameter.data = data.to(parameter.dtype)


def _refuse_state(module: nn.Module, *_: Any) -> None:
    raise RuntimeError(
        f"the weights of {type(module).__name__} are packed and cannot be saved: call "
        "expertrag_kernels.unpack_model(model) first"
    )


def _experts_forward(
    module: nn.Module,
    hidden_states: torch.Tensor,  # [T, H]
    top_k_index: torch.Tensor,  # [T, K]
    top_k_weights: torch.Tensor,  # [T, K]
) -> torch.Tensor:  # [T, H]
    experts: Experts
    if hasattr(module, _PACKED):
        experts = getattr(module, _PACKED)[0]
    elif reason := _find_unsupported(module):
        _log_once(type(module).__qualname__, reason)
        output: torch.Tensor = ALL_EXPERTS_FUNCTIONS[_FALLBACK](
            module, hidden_states, top_k_index, top_k_weights
        )
        return output
    else:
        experts = _view(module)
    return fused_experts(hidden_states, top_k_index, top_k_weights, experts)


def _view(module: nn.Module) -> PlainExperts:
    gate_up, down = module.gate_up_proj, module.down_proj
    assert isinstance(gate_up, torch.Tensor) and isinstance(down, torch.Tensor)
    return PlainExperts(gate_up, down, _ACTIVATIONS[_key(module.act_fn)])


def _key(act_fn: object) -> object:
    return type(act_fn) if isinstance(act_fn, nn.Module) else act_fn


def _holds_experts(module: nn.Module) -> bool:
    """Whether a module is an experts module of transformers: the interface sets its flags."""
    return all(hasattr(module, flag) for flag in _FLAGS)


def _find_unsupported(module: nn.Module) -> str:
    """Return why the packed layout does not support these experts; empty if it does."""
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
        "a custom gate function": gate_home != ExpertsInterface.__module__,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


@cache
def _log_once(kind: str, reason: str) -> None:
    _log.warning("%s runs with %s instead of our kernels: %s", kind, _FALLBACK, reason)
