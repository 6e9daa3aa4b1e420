"""Load a reader's bundle as adapters for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.bundle import Bundle, load_bundle
from expertrag.llm.adapters.lora import LoraWeights, Projection
from expertrag.llm.adapters.low_rank import LowRankAdapters
from expertrag.llm.adapters.parallel import ParallelAdapters
from expertrag.llm.adapters.served import ServedAdapters
from expertrag.llm.base import SHARED
from expertrag_kernels import PlainExperts


def load_adapters(folder: Path) -> ServedAdapters:
    """Read a bundle.

    :raises InvalidArgument: the folder is not a bundle.
    :raises ServerError: it is damaged.
    """
    bundle = load_bundle(folder)
    return parallel_of(bundle) if bundle.settings.parallel else low_rank_of(bundle)


def parallel_of(bundle: Bundle) -> ParallelAdapters:
    """Stack the parallel adapters of a bundle: one expert per layer and domain.

    :raises InvalidArgument: the bundle has low-rank updates.
    """
    if not bundle.settings.parallel:
        raise InvalidArgument("reader: it has low-rank updates, not parallel adapters")
    names = bundle.settings.experts
    layers = {number: _experts(some, names[:-1]) for number, some in _by_layer(bundle).items()}
    return ParallelAdapters(*_about(bundle), layers=layers)


def low_rank_of(bundle: Bundle) -> LowRankAdapters:
    """Sort the low-rank updates of a bundle by their expert.

    :raises InvalidArgument: the bundle has parallel adapters.
    """
    if bundle.settings.parallel:
        raise InvalidArgument("reader: it has parallel adapters, not low-rank updates")
    weights: dict[str, dict[Projection, LoraWeights]] = {}
    for number, layer in _by_layer(bundle).items():
        for name, down in layer.items():
            projection, domain, kind = name.split(".")
            if kind == "down":
                lora = LoraWeights(down, layer[f"{projection}.{domain}.up"])
                weights.setdefault(domain, {})[Projection(number, f"mlp.{projection}")] = lora
    return LowRankAdapters(*_about(bundle), weights=weights)


def _about(bundle: Bundle) -> tuple[Any, ...]:
    """Return the fields that all adapters have."""
    return (
        bundle.settings.experts,
        bundle.fingerprint,
        bundle.base,
        bundle.prompts,
        bundle.digest,
        bundle.doubt,
    )


def _by_layer(bundle: Bundle) -> dict[int, dict[str, torch.Tensor]]:
    """Return the weights by the number of their layer, and by the rest of their name.

    Names are ``model.layers.N.mlp.DOMAIN.gate_up``, or ``...mlp.gate_proj.DOMAIN.down``.
    """
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for name, weight in bundle.weights.items():
        parts = name.split(".")
        layers.setdefault(int(parts[2]), {})[".".join(parts[4:])] = weight
    return layers


def _experts(weights: Mapping[str, torch.Tensor], names: tuple[str, ...]) -> PlainExperts:
    """Join the shared adapter with each domain's own, by concatenating their inner units."""
    adapters = [_join(weights, name) for name in names]
    width = max(down.shape[1] for _, _, down in adapters)
    gate_up = [torch.cat([_taller(gate, width), _taller(up, width)]) for gate, up, _ in adapters]
    down = [_taller(down.T, width).T for _, _, down in adapters]
    return PlainExperts(torch.stack(gate_up), torch.stack(down).contiguous())


def _join(
    weights: Mapping[str, torch.Tensor], name: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return gate (R, H), up (R, H) and down (H, R) of a domain."""
    parts = dict.fromkeys((SHARED, name))
    halves = [weights[f"{part}.gate_up"].chunk(2) for part in parts]
    return (
        torch.cat([gate for gate, _ in halves]),
        torch.cat([up for _, up in halves]),
        torch.cat([weights[f"{part}.down"] for part in parts], dim=1),
    )


def _taller(rows: torch.Tensor, height: int) -> torch.Tensor:
    """Pad with rows of zeros: inner units without effect."""
    return torch.nn.functional.pad(rows, (0, 0, 0, height - rows.shape[0]))
