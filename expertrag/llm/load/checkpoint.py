"""Read a checkpoint's weights one module at a time, into a model on the meta device."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn


class Checkpoint(Protocol):
    """The tensors in the files of a checkpoint."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the tensors, by their names in the files."""
        ...

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor; bytes are experts in MXFP4, which are not converted."""
        ...


class NotStreamed(ValueError):
    """A checkpoint must be loaded whole, by transformers; the message says why."""


class _Part(NamedTuple):
    """A stored tensor, and the part of a parameter that it holds."""

    name: str
    at: tuple[int | slice, ...]


_FORMER_NAMES = (  # names of the tensors in the files, and in transformers' modules
    (".block_sparse_moe.input_linear.weight", ".block_sparse_moe.experts.gate_up_proj"),
    (".block_sparse_moe.output_linear.weight", ".block_sparse_moe.experts.down_proj"),
    (".block_sparse_moe.router.layer.", ".block_sparse_moe.router."),
    (".block_sparse_moe.", ".mlp."),
    (".mlp.gate.", ".mlp.router."),
)
# one expert of a layer, or one projection of all experts; newer checkpoints merge them like models
_EXPERTS = re.compile(
    r"(?P<stem>.*\.experts)(\.(?P<number>\d+))?"
    r"\.((?P<gate>gate_proj|w1)|(?P<up>up_proj|w3)|down_proj|w2)(\.weight)?"
)


class Streamed:
    """A model on the meta device, whose modules are filled from a checkpoint one at a time.

    Buffers that checkpoints store are filled like parameters.
    """

    def __init__(self, model: nn.Module, checkpoint: Checkpoint) -> None:
        """Find every parameter's parts among the tensors of a checkpoint.

        :raises NotStreamed: a parameter is missing, stored twice, or in parts that do not fit.
        """
        self._model = model
        self._checkpoint = checkpoint
        self._parts: dict[torch.Tensor, list[_Part]] = {}
        parameters = model.state_dict(keep_vars=True)
        for name in checkpoint.shapes:
            parameter, at = _place(name, parameters)
            if parameter is not None:
                self._parts.setdefault(parameter, []).append(_Part(name, at))
        for name, parameter in parameters.items():
            self._check(name, parameter)

    def fill(self) -> None:
        """Fill the whole model."""
        read: dict[torch.Tensor, torch.Tensor] = {}  # tied ones are read once
        for owner, name, parameter in self._find_owners(self._model):
            if parameter not in read:
                read[parameter] = self._value(parameter)
            setattr(owner, name, read[parameter])

    @contextmanager
    def hold_filled(self, module: nn.Module) -> Iterator[None]:
        """Fill a module's parameters while the context is open."""
        empty = self._find_owners(module)
        try:
            for owner, name, parameter in empty:
                setattr(owner, name, self._value(parameter))
            yield
        finally:
            for owner, name, parameter in empty:
                setattr(owner, name, parameter)

    def _find_owners(self, module: nn.Module) -> list[tuple[nn.Module, str, torch.Tensor]]:
        """List what is filled in a module, each with its owner and its name there."""
        return [
            (owner, name, value)
            for owner in module.modules()
            for name, value in (
                *owner.named_parameters(recurse=False),
                *owner.named_buffers(recurse=False),
            )
            if value in self._parts
        ]

    def _value(self, parameter: torch.Tensor) -> torch.Tensor:
        value = self._read(parameter)
        if isinstance(parameter, nn.Parameter):
            return nn.Parameter(value, requires_grad=False)
        return value

    def _read(self, parameter: torch.Tensor) -> torch.Tensor:
        parts = self._parts[parameter]
        read = self._checkpoint.read
        if not parts[0].at:
            tensor = read(parts[0].name)
            return tensor if tensor.dtype == torch.uint8 else tensor.to(parameter.dtype)
        whole = torch.empty(parameter.shape, dtype=parameter.dtype)
        for part in parts:
            whole[part.at] = read(part.name).to(parameter.dtype)
        return whole

    def _check(self, name: str, parameter: torch.Tensor) -> None:
        parts = self._parts.get(parameter, [])
        shapes = self._checkpoint.shapes
        for part in parts:
            try:
                wanted = tuple(parameter[part.at].shape)
            except IndexError:
                raise NotStreamed(f"{part.name} belongs to no expert of {name}") from None
            if shapes[part.name] != wanted:
                raise NotStreamed(f"{part.name} is {shapes[part.name]}, expected {wanted}")
        stored = sum(torch.Size(shapes[part.name]).numel() for part in parts)
        if len({str(part.at) for part in parts}) < len(parts) or stored > parameter.numel():
            raise NotStreamed(f"{name} is stored twice")  # tied ones may differ
        if stored < parameter.numel():
            raise NotStreamed(f"{name} is missing")


def _place(
    name: str, parameters: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor | None, tuple[Any, ...]]:
    """Find the parameter that a stored tensor belongs to, or None, and the part that it holds."""

    def find(name: str) -> torch.Tensor | None:
        return parameters.get(name, parameters.get(f"model.{name}"))

    for former, ours in _FORMER_NAMES:
        if find(name) is None:
            name = name.replace(former, ours)
    tensor = find(name)
    match = _EXPERTS.fullmatch(name)
    if tensor is not None or match is None:
        return tensor, ()
    expert = int(match["number"]) if match["number"] else slice(None)
    if not (match["gate"] or match["up"]):
        return find(f"{match['stem']}.down_proj"), (expert,)
    tensor = find(f"{match['stem']}.gate_up_proj")
    if tensor is None:
        return None, ()
    half = tensor.shape[1] // 2
    return tensor, (expert, slice(half) if match["gate"] else slice(half, None))
