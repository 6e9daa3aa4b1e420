"""Load a reader's bundle as parallel adapters for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.bundle import Bundle, load_bundle
from expertrag.llm.adapters.parallel import ParallelAdapters
from expertrag.llm.base import SHARED
from expertrag_kernels import PlainExperts


def load_parallel(folder: Path) -> ParallelAdapters:
    """Read a bundle of parallel adapters.

    :raises InvalidArgument: the folder is not a bundle, or is one of low-rank updates.
    :raises ServerError: it is damaged.
    """
    return parallel_of(load_bundle(folder))


def parallel_of(bundle: Bundle) -> ParallelAdapters:
    """Stack the parallel adapters of a bundle: one expert per layer and domain.

    :raises InvalidArgument: the bundle has low-rank updates, which must be merged instead.
    """
    if not bundle.settings.parallel:
        raise InvalidArgument(
            "reader: its low-rank updates must be merged before they can be served: run "
            "`expertrag llm merge` and use the folder that it writes as the generator"
        )
    names = bundle.settings.experts
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for name, weight in bundle.weights.items():
        # model.layers.N.mlp.DOMAIN.gate_up
        parts = name.split(".")
        layers.setdefault(int(parts[2]), {})[".".join(parts[4:])] = weight
    return ParallelAdapters(
        names=names,
        layers={number: _experts(some, names[:-1]) for number, some in layers.items()},
        base=bundle.fingerprint,
        base_name=bundle.base,
        prompts=bundle.prompts,
        digest=bundle.digest,
        doubt=bundle.doubt,
    )


def _experts(weights: Mapping[str, torch.Tensor], names: tuple[str, ...]) -> PlainExperts:
    """Join the shared adapter with each domain's own, by concatenating their inner units."""
    found = [_joined(weights, name) for name in names]
    width = max(down.shape[1] for _, _, down in found)
    gate_up = [torch.cat([_taller(gate, width), _taller(up, width)]) for gate, up, _ in found]
    down = [_taller(down.T, width).T for _, _, down in found]
    return PlainExperts(torch.stack(gate_up), torch.stack(down).contiguous())


def _joined(
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
