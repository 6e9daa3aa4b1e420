"""Adapters (LoRA, Hu et al. 2022) of the decoder in torch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F

from expertrag_kernels.packed import ExpertPart, PlainExperts, WeightUpdate
from expertrag_kernels.torch_rows import TokenRows

Weights = torch.Tensor | PlainExperts


class TorchAdapter:
    """The updates of one adapter, by the weights that they update."""

    def __init__(
        self, updates: Iterable[WeightUpdate], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Copy the updates to a device.

        :raises ValueError: an update does not fit its weights.
        """
        self._updates: dict[
            tuple[int, ExpertPart | None], list[tuple[int, torch.Tensor, torch.Tensor]]
        ] = {}
        for update in updates:
            update.check(*_shape(update.weights, update.part))
            down, up = (part.detach().to(device, dtype) for part in (update.down, update.up))
            key = id(update.weights), update.part
            self._updates.setdefault(key, []).append((update.start, down, up))

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        every = (some for updates in self._updates.values() for some in updates)
        return sum(down.nbytes + up.nbytes for _, down, up in every)

    def add(
        self,
        weights: Weights,
        part: ExpertPart | None,
        own: torch.Tensor,
        inputs: torch.Tensor,
        to: torch.Tensor,
    ) -> None:
        """Add what the rows ``own`` (N,) of ``inputs`` (T, I) gain to theirs of ``to`` (T, O)."""
        for start, down, up in self._updates.get((id(weights), part), ()):
            gained = F.linear(F.linear(inputs[own], down), up)
            to[own, start : start + up.shape[0]] += gained


def add_updates(
    rows: TokenRows,
    weights: Weights,
    part: ExpertPart | None,
    inputs: torch.Tensor,
    to: torch.Tensor,
) -> None:
    """Add to ``to`` (T, O) what the batch's adapters make of ``inputs`` (T, I) at some weights."""
    for adapter, own in rows.adapted:
        adapter.add(weights, part, own, inputs, to)


def _shape(weights: Weights, part: ExpertPart | None) -> tuple[int, int]:
    """Return outputs and inputs of what is updated.

    :raises ValueError: there are several experts.
    """
    if isinstance(weights, torch.Tensor):
        return weights.shape[0], weights.shape[1]
    if weights.num_experts != 1:
        raise ValueError(f"updates are of one expert; got {weights.num_experts} experts")
    hidden, inner = weights.hidden_size, weights.inner_size
    return (hidden, inner) if part is ExpertPart.DOWN else (inner, hidden)
