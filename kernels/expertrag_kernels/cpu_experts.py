"""Runs experts on the CPU with the compiled kernels (``cpu/``)."""

from __future__ import annotations

import importlib
import logging
from types import ModuleType
from typing import Any

import torch

from expertrag_kernels import layout
from expertrag_kernels.packed import (
    Activation,
    Experts,
    Format,
    PackedExperts,
    PackedMatrix,
    PlainExperts,
)
from expertrag_kernels.registry import implementation, wants_gradients


def _load() -> ModuleType | None:
    try:
        # import after torch, to share its OpenMP library
        return importlib.import_module("expertrag_kernels._cpu")
    except ModuleNotFoundError:  # nothing was compiled
        return None
    except ImportError as error:
        _log.warning("the compiled kernels cannot be loaded (%s): install the package again", error)
        return None


_log = logging.getLogger(__name__)
_cpu = _load()

ISAS: tuple[str, ...] = tuple(_cpu.usable_isas()) if _cpu else ()
"""Usable instruction sets of the compiled kernels, best first; empty without them."""

ENCODER_ISAS: tuple[str, ...] = tuple(_cpu.encoder_isas()) if _cpu else ()
"""Those for encoders in bfloat16; empty on other processors."""

_FORMATS = list(Format)
_ACTIVATIONS = list(Activation)


def _supports(x: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts) -> bool:
    return (
        bool(ISAS)
        and isinstance(experts, PackedExperts)
        and x.device.type == experts.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and not wants_gradients(x, top_k_weights)
    )


@implementation("cpu", priority=10, supports=_supports)
def cpu_experts(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts
) -> torch.Tensor:
    """Compute :func:`expertrag_kernels.fused_experts` without its checks."""
    assert isinstance(experts, PackedExperts), "checked by _supports"
    return run_on(ISAS[0], x, top_k_index, top_k_weights, experts)


def pack_plain(plain: PlainExperts, format: Format) -> PackedExperts:
    """Pack experts with the compiled kernels, or in torch without them, for another machine.

    :raises ValueError: the weights do not fit together, or are to be rounded and are not finite.
    """
    plain.check()
    if format in (Format.INT8, Format.INT4, Format.MXFP4) and not _finite(plain):
        raise ValueError(
            f"weights that are not finite cannot be packed in {format}: download the model again"
        )
    return pack_on(ISAS[0], plain, format) if ISAS else layout.pack_experts(plain, format)


def _finite(plain: PlainExperts) -> bool:
    """Whether all weights are finite, by their sums."""
    # one expert at a time, because torch makes a float32 copy
    experts = (expert for weights in (plain.gate_up, plain.down) for expert in weights)
    return all(bool(expert.sum(dtype=torch.float32).isfinite()) for expert in experts)


def pack_on(isa: str, plain: PlainExperts, format: Format) -> PackedExperts:
    """Pack experts with one of ``ISAS``.

    Equals :func:`expertrag_kernels.layout.pack_experts`, except for ties between ranges of int4.
    """
    assert _cpu is not None, "ISAS is not empty"
    experts, hidden, inner = plain.num_experts, plain.hidden_size, plain.inner_size
    dtype = torch.bfloat16 if plain.down.dtype == torch.bfloat16 else torch.float32
    gate_up, down = (
        weight.detach().to("cpu", dtype).contiguous() for weight in (plain.gate_up, plain.down)
    )
    data = layout.room(layout.layer_bytes(format, experts, hidden, inner, biased=plain.biased))
    layout.put_biases(data, plain)
    _cpu.pack(
        isa,
        _FORMATS.index(format),
        experts,
        hidden,
        inner,
        gate_up.data_ptr(),
        down.data_ptr(),
        dtype == torch.bfloat16,
        data.data_ptr(),
        torch.get_num_threads(),
    )
    return PackedExperts(data, format, experts, hidden, inner, plain.activation, plain.biased)


def pack_matrix(weight: torch.Tensor, format: Format) -> PackedMatrix:
    """Pack weights (O, I); equals :func:`expertrag_kernels.layout.pack_matrix`."""
    assert _cpu is not None, "ISAS is not empty"
    outputs, inputs = weight.shape
    dtype = torch.bfloat16 if weight.dtype == torch.bfloat16 else torch.float32
    source = weight.detach().to("cpu", dtype).contiguous()
    data = layout.room(layout.matrix_bytes(format, outputs, inputs))
    _cpu.pack_matrix(
        ISAS[0],
        _FORMATS.index(format),
        outputs,
        inputs,
        source.data_ptr(),
        dtype == torch.bfloat16,
        data.data_ptr(),
        torch.get_num_threads(),
    )
    return PackedMatrix(data, format, outputs, inputs)


def new_program(*shape: int) -> Any:
    """Return an empty program of the compiled module; see ``_cpu.pyi``."""
    assert _cpu is not None, "ISAS is not empty"
    return _cpu.Program(*shape)


def new_adapter(bf16: bool) -> Any:
    """Return an adapter of the compiled module without updates, of bf16 or float32."""
    assert _cpu is not None, "ISAS is not empty"
    return _cpu.Adapter(bf16)


def decode(program: Any, *batch: Any) -> None:
    """Run a program on a batch; see ``_cpu.pyi``."""
    assert _cpu is not None, "ISAS is not empty"
    _cpu.decode(ISAS[0], program, *batch)


def expert_place_bytes(size: int) -> int:
    """Return the memory of an expert of ``size`` bytes that is read from a file."""
    assert _cpu is not None, "ISAS is not empty"
    return int(_cpu.expert_place_bytes(size))


def new_encoder(*arguments: Any) -> Any:
    """Return an encoder of the compiled module without layers; see ``_cpu.pyi``."""
    assert _cpu is not None, "ENCODER_ISAS is not empty"
    return _cpu.Encoder(*arguments)


def encode(isa: str, encoder: Any, *batch: Any) -> None:
    """Run layers of an encoder on a batch; see ``_cpu.pyi``."""
    assert _cpu is not None, "ENCODER_ISAS is not empty"
    _cpu.encode(isa, encoder, *batch)


def run_on(
    isa: str,
    x: torch.Tensor,
    top_k_index: torch.Tensor,
    top_k_weights: torch.Tensor,
    experts: PackedExperts,
) -> torch.Tensor:
    """Compute the experts with one of ``ISAS``."""
    assert _cpu is not None, "ISAS is not empty"
    x, index = x.contiguous(), top_k_index.contiguous()
    weights = top_k_weights.detach().float().contiguous()
    out = torch.empty_like(x)
    _cpu.forward(
        isa,
        _FORMATS.index(experts.format),
        _ACTIVATIONS.index(experts.activation),
        experts.num_experts,
        experts.hidden_size,
        experts.inner_size,
        experts.data.data_ptr(),
        experts.biased,
        x.data_ptr(),
        x.dtype == torch.bfloat16,
        x.shape[0],
        index.shape[1],
        index.data_ptr(),
        weights.data_ptr(),
        out.data_ptr(),
        torch.get_num_threads(),
    )
    return out
