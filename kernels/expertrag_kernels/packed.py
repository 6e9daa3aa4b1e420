"""The weights of one layer's experts: as in a checkpoint, or packed for the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch


class Activation(StrEnum):
    """Activation of the gate half, before it multiplies the up half; or how both are joined."""

    SILU = "silu"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    RELU = "relu"
    CLAMPED_SWIGLU = "clamped_swiglu"
    """gate * sigmoid(1.702 * gate) * (up + 1), gate at most 7, up from -7 to 7 (gpt-oss)."""


class Format(StrEnum):
    """Number formats of packed weights."""

    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"
    """8 bits and a scale per output; activations in 8 bits, with a scale per 128 of them."""
    INT4 = "int4"
    """4 bits, slope and least value per 32 weights, a scale per 128; activations as in int8."""
    MXFP4 = "mxfp4"
    """4 bits and a power of two per 32 weights (OCP Microscaling), as gpt-oss is published.
    Activations are in 8 bits, with a scale per 32 of them."""


def _check_weights(gate_up: torch.Tensor, down: torch.Tensor) -> None:
    if down.ndim != 3 or gate_up.shape != (down.shape[0], 2 * down.shape[2], down.shape[1]):
        raise ValueError(
            "gate_up must be (E, 2I, H) and down (E, H, I); "
            f"got {tuple(gate_up.shape)} and {tuple(down.shape)}"
        )
    if gate_up.dtype != down.dtype or gate_up.device != down.device:
        raise ValueError(
            "gate_up and down must have the same dtype and device; "
            f"got {gate_up.dtype} and {down.dtype} on {gate_up.device} and {down.device}"
        )


def _check_biases(
    gate_up: torch.Tensor | None, down: torch.Tensor | None, weights: PlainExperts
) -> None:
    if gate_up is None and down is None:
        return
    if gate_up is None or down is None:
        raise ValueError("experts have biases of both gate_up and down, or none")
    shapes = weights.gate_up.shape[:2], weights.down.shape[:2]
    if (gate_up.shape, down.shape) != shapes:
        raise ValueError(
            "biases must be (E, 2I) of gate_up and (E, H) of down; "
            f"got {tuple(gate_up.shape)} and {tuple(down.shape)}"
        )
    if gate_up.device != weights.device or down.device != weights.device:
        raise ValueError("biases and weights must be on the same device")


class _ByExpert:
    """Properties derived from weights (E, 2I, H) and (E, H, I)."""

    __slots__ = ()
    gate_up: torch.Tensor
    down: torch.Tensor

    @property
    def num_experts(self) -> int:
        """E, the number of experts held here."""
        return self.down.shape[0]

    @property
    def hidden_size(self) -> int:
        """H, the width of a token."""
        return self.down.shape[1]

    @property
    def inner_size(self) -> int:
        """I, the width of an expert."""
        return self.gate_up.shape[1] // 2

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.down.device


class _ByExpertBiased(_ByExpert):
    """Those that may have biases."""

    __slots__ = ()
    gate_up_bias: torch.Tensor | None

    @property
    def biased(self) -> bool:
        """Whether there are biases."""
        return self.gate_up_bias is not None


@dataclass(frozen=True, slots=True)
class PlainExperts(_ByExpertBiased):
    """Experts of one layer: y = down @ (activation(gate @ x) * (up @ x)).

    gate_up: (E, 2I, H) — gate in the first I rows, up in the last I
    down: (E, H, I)
    gate_up_bias, down_bias: (E, 2I) and (E, H), added to gate, up and y; both None without biases
    """

    gate_up: torch.Tensor
    down: torch.Tensor
    activation: Activation = Activation.SILU
    gate_up_bias: torch.Tensor | None = None
    down_bias: torch.Tensor | None = None

    def check(self) -> None:
        """Check that the weights and biases fit together.

        :raises ValueError: they do not.
        """
        _check_weights(self.gate_up, self.down)
        _check_biases(self.gate_up_bias, self.down_bias, self)

    def to(self, device: torch.device, dtype: torch.dtype) -> PlainExperts:
        """Return the experts on a device, in a type, and contiguous as kernels need them."""
        parts = self.gate_up, self.down, self.gate_up_bias, self.down_bias
        gate_up, down, *biases = (
            None if part is None else part.detach().to(device, dtype).contiguous() for part in parts
        )
        assert gate_up is not None and down is not None, "they are not biases"
        return PlainExperts(gate_up, down, self.activation, *biases)


@dataclass(frozen=True, slots=True)
class Mxfp4Experts(_ByExpertBiased):
    """Experts of one layer in MXFP4, in blocks of 32 weights as they are published.

    A block is 16 bytes of codes, of a weight in the low half and of the next in the high half, and
    an exponent. H and I are multiples of 32.

    gate_up: (E, 2I, H/32, 17) uint8 — gate in the first I rows, up in the last I
    down: (E, H, I/32, 17) uint8
    gate_up_bias, down_bias: as in :class:`PlainExperts`
    """

    gate_up: torch.Tensor
    down: torch.Tensor
    activation: Activation = Activation.SILU
    gate_up_bias: torch.Tensor | None = None
    down_bias: torch.Tensor | None = None

    def check(self) -> None:
        """Check that the blocks fit together.

        :raises ValueError: they do not.
        """
        count, hidden, inner = self.num_experts, self.hidden_size, self.inner_size
        wanted = (count, 2 * inner, hidden // 32, 17), (count, hidden, inner // 32, 17)
        if (self.gate_up.shape, self.down.shape) != wanted or hidden % 32 or inner % 32:
            raise ValueError(
                "blocks must be (E, 2I, H/32, 17) of gate_up and (E, H, I/32, 17) of down; "
                f"got {tuple(self.gate_up.shape)} and {tuple(self.down.shape)}"
            )


@dataclass(frozen=True, slots=True)
class ScaledExperts(_ByExpert):
    """Experts with 8-bit weights and a scale per output, for GPUs.

    gate_up: (E, 2I, H) int8 or float8_e4m3fn
    down: (E, H, I), the same
    gate_up_scale: (E, 2I) float32
    down_scale: (E, H) float32
    """

    gate_up: torch.Tensor
    down: torch.Tensor
    gate_up_scale: torch.Tensor
    down_scale: torch.Tensor
    activation: Activation = Activation.SILU

    def check(self) -> None:
        """Check that the weights and scales fit together.

        :raises ValueError: they do not.
        """
        _check_weights(self.gate_up, self.down)
        weights = (self.gate_up, self.down)
        for scale, weight in zip((self.gate_up_scale, self.down_scale), weights, strict=True):
            if scale.shape != weight.shape[:2] or scale.dtype != torch.float32:
                raise ValueError("scales must be float32, one per output: (E, 2I) and (E, H)")

    @classmethod
    def of(cls, plain: PlainExperts, dtype: torch.dtype) -> ScaledExperts:
        """Round experts to int8 or float8_e4m3fn.

        :raises ValueError: they have biases.
        """
        if plain.biased:
            raise ValueError("experts with biases cannot have 8-bit weights on a GPU: leave them")
        most = 127.0 if dtype == torch.int8 else torch.finfo(dtype).max

        def scale_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scale = weight.float().abs().amax(dim=2).clamp(min=1e-30) / most
            values = weight.float() / scale[:, :, None]
            return (values.round() if dtype == torch.int8 else values).to(dtype), scale

        gate_up, gate_up_scale = scale_rows(plain.gate_up)
        down, down_scale = scale_rows(plain.down)
        return cls(gate_up, down, gate_up_scale, down_scale, plain.activation)

    def plain(self, dtype: torch.dtype) -> PlainExperts:
        """Return the weights that these represent."""
        return PlainExperts(
            (self.gate_up.float() * self.gate_up_scale[:, :, None]).to(dtype),
            (self.down.float() * self.down_scale[:, :, None]).to(dtype),
            self.activation,
        )


class ExpertPart(StrEnum):
    """The matrices of an expert."""

    GATE = "gate"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class WeightUpdate:
    """A low-rank update of a decoder's weights, or of some outputs (Hu et al. 2022).

        y[start : start + O] += up @ (down @ x)

    weights: the matrix of a linear step, or the only expert of a mix step, as they were planned
    down: (R, I); up: (O, R); both float32
    start: the first output that is updated, of a linear step's matrix
    part: which matrix of the expert; None for a linear step
    """

    weights: Any
    down: torch.Tensor
    up: torch.Tensor
    start: int = 0
    part: ExpertPart | None = None

    def check(self, outputs: int, inputs: int) -> None:
        """Check that the update fits weights (O, I).

        :raises ValueError: it does not.
        """
        rank, height = self.down.shape[0], self.up.shape[0]
        fits = self.down.shape == (rank, inputs) and self.up.shape == (height, rank)
        if not (fits and rank and 0 <= self.start <= outputs - height):
            raise ValueError(
                f"updates of ({outputs}, {inputs}) weights must be (R, {inputs}) and "
                f"({outputs}, R), or of a range of outputs; got {tuple(self.down.shape)} and "
                f"{tuple(self.up.shape)} from output {self.start} on"
            )


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Where weights start in a file, in bytes."""

    path: Path
    start: int


@dataclass(frozen=True, slots=True)
class PackedExperts:
    """The same experts in one block of memory, in the layout of the kernels.

    data: (B,) uint8, aligned to 64 bytes; see :mod:`expertrag_kernels.layout`
    """

    data: torch.Tensor
    format: Format
    num_experts: int
    hidden_size: int
    inner_size: int
    activation: Activation = Activation.SILU
    biased: bool = False
    """Whether ``data`` ends with the biases, in float32."""
    mapped: FilePlace | None = None
    """Where ``data`` is mapped from; None if it is in memory."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.data.device


@dataclass(frozen=True, slots=True)
class PackedMatrix:
    """Weights (O, I) in the layout of the kernels.

    data: (B,) uint8, aligned to 64 bytes; see :mod:`expertrag_kernels.layout`
    """

    data: torch.Tensor
    format: Format
    outputs: int
    inputs: int


Experts = PlainExperts | ScaledExperts | PackedExperts
