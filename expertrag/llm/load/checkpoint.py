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
        """Read one tensor."""
        ...


class NotStreamed(ValueError):
    """A checkpoint must be loaded whole, by transformers; the message says why."""


class _Part(NamedTuple):
    """A stored tensor, and the part of a parameter that it holds."""

    name: str
    at: tuple[int | slice, ...]


# one expert of a layer, or one projection of all experts; newer checkpoints merge them like models
_EXPERTS = re.compile(
    r"(?P<stem>.*\.experts)(\.(?P<number>\d+))?"
    r"\.((?P<gate>gate_proj|w1)|(?P<up>up_proj|w3)|down_proj|w2)(\.weight)?"
)


class Streamed:
    """A model on the meta device, whose modules are filled from a checkpoint one at a time."""

    def __init__(self, model: nn.Module, checkpoint: Checkpoint) -> None:
        """Find every parameter's parts among the tensors of a checkpoint.

        :raises NotStreamed: a parameter is missing, stored twice, or in parts that do not fit.
        """
        self._model = model
        self._checkpoint = checkpoint
        self._parts: dict[nn.Parameter, list[_Part]] = {}
        parameters = dict(model.named_parameters(remove_duplicate=False))
        for name in checkpoint.shapes:
            parameter, at = _place(name, parameters)
            if parameter is not None:
                self._parts.setdefault(parameter, []).append(_Part(name, at))
        for name, parameter in parameters.items():
            self._check(name, parameter)

    def fill(self) -> None:
        """Fill the whole model."""
        read: dict[nn.Parameter, nn.Parameter] = {}  # tied ones are read once
        for owner, name, parameter in _owned(self._model):
            if parameter not in read:
                read[parameter] = nn.Parameter(self._value(parameter), requires_grad=False)
            setattr(owner, name, read[parameter])

    @contextmanager
    def filled(self, module: nn.Module) -> Iterator[None]:
        """Fill a module's parameters while the context is open."""
        empty = _owned(module)
        try:
            for owner, name, parameter in empty:
                setattr(owner, name, nn.Parameter(self._value(parameter), requires_grad=False))
            yield
        finally:
            for owner, name, parameter in empty:
                setattr(owner, name, parameter)

    def _value(self, parameter: nn.Parameter) -> torch.Tensor:
        parts = self._parts[parameter]
        read = self._checkpoint.read
        if not parts[0].at:
            return read(parts[0].name).to(parameter.dtype)
        whole = torch.empty(parameter.shape, dtype=parameter.dtype)
        for part in parts:
            whole[part.at] = read(part.name).to(parameter.dtype)
        return whole

    def _check(self, name: str, parameter: nn.Parameter) -> None:
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


def _owned(module: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """List all parameters in a module, each with its owner and its name there."""
    return [
        (owner, name, parameter)
        for owner in module.modules()
        for name, parameter in owner.named_parameters(recurse=False)
    ]


def _place(
    name: str, parameters: Mapping[str, nn.Parameter]
) -> tuple[nn.Parameter | None, tuple[Any, ...]]:
    """Find the parameter that a stored tensor belongs to, or None, and the part that it holds."""

    def find(name: str) -> nn.Parameter | None:
        return parameters.get(name, parameters.get(f"model.{name}"))

    name = name.replace(".block_sparse_moe.", ".mlp.")  # Mixtral's former name
    found = find(name)
    match = _EXPERTS.fullmatch(name)
    if found is not None or match is None:
        return found, ()
    expert = int(match["number"]) if match["number"] else slice(None)
    if not (match["gate"] or match["up"]):
        return find(f"{match['stem']}.down_proj"), (expert,)
    found = find(f"{match['stem']}.gate_up_proj")
    if found is None:
        return None, ()
    half = found.shape[1] // 2
    return found, (expert, slice(half) if match["gate"] else slice(half, None))
