"""Weights of a model by name: packed for a decoder, or packed by an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from expertrag_kernels import Format, Packed, PlainExperts
from expertrag_kernels.packed import PackedExperts, PackedMatrix
from expertrag_kernels.steps import Steps

_P = TypeVar("_P", bound=Packed)
_W = TypeVar("_W")


@dataclass(slots=True)
class NamedWeights:
    """Weights that a decoder plans its steps with; methods raise ValueError for other shapes.

    :param format: of matrices.
    :param packed: weights that an earlier run packed, used instead of those that are given.
    :param at: prefix of the names of a layer's weights.
    """

    decoder: Steps[Any, Any]
    format: Format
    packed: Mapping[str, Packed] | None
    names: dict[str, Any] = field(default_factory=dict)
    at: str = ""

    def matrix(self, name: str, weight: torch.Tensor, format: Format | None = None) -> Any:
        """Pack a matrix, by default in the format of the model."""
        wanted = format or self.format
        if self.packed is None:
            return self.keep(name, self.decoder.matrix(weight, wanted))
        matrix = self._earlier(name, PackedMatrix)
        self._check(name, (matrix.format, matrix.outputs, matrix.inputs), (wanted, *weight.shape))
        return matrix

    def small(self, name: str, weight: torch.Tensor) -> Any:
        """Pack a router in the precision in which it is stored."""
        exact = Format.BF16 if weight.dtype == torch.bfloat16 else Format.F32
        return self.matrix(name, weight, exact)

    def floats(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Copy values in float32."""
        if self.packed is None:
            return self.keep(name, values.detach().float().clone())
        vector = self._earlier(name, torch.Tensor)
        self._check(name, vector.shape, values.shape)
        return vector

    def experts(self, name: str, plain: PlainExperts, format: Format) -> Any:
        """Pack the experts of a layer."""
        if self.packed is None:
            return self.keep(name, self.decoder.experts(plain, format))
        experts = self._earlier(name, PackedExperts)
        shapes = [
            (some.num_experts, some.hidden_size, some.inner_size, some.activation, some.biased)
            for some in (experts, plain)
        ]
        self._check(name, (experts.format, *shapes[0]), (format, *shapes[1]))
        return experts

    def keep(self, name: str, made: _W) -> _W:
        """Keep a weight that is packed by its name."""
        self.names[self.at + name] = made
        return made

    def _earlier(self, name: str, kind: type[_P]) -> _P:
        """Return a weight that an earlier run packed."""
        weight = self.packed.get(self.at + name) if self.packed else None
        if not isinstance(weight, kind):
            raise ValueError(f"{self.at}{name} is missing")
        return self.keep(name, weight)

    def _check(self, name: str, actual: tuple[object, ...], wanted: tuple[object, ...]) -> None:
        if actual != wanted:
            raise ValueError(f"{self.at}{name} is {tuple(actual)}, expected {tuple(wanted)}")
