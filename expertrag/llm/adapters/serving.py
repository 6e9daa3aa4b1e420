"""A reader's bundle as the engine serves it: small experts beside its base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.beside import Beside
from expertrag.llm.adapters.bundle import Bundle, load_bundle
from expertrag_kernels import PlainExperts
from expertrag_retriever.experts.settings import GENERAL


def load_beside(folder: Path) -> Beside:
    """Read a bundle whose experts are to run beside its base.

    :raises InvalidArgument: the folder is no bundle, or one of low-rank updates.
    :raises ServerError: it is damaged.
    """
    return beside_of(load_bundle(folder))


def beside_of(bundle: Bundle) -> Beside:
    """Put the small experts of a bundle together, an expert of a layer for each of its domains.

    :raises InvalidArgument: it has low-rank updates, which are merged instead.
    """
    if not bundle.settings.beside:
        raise InvalidArgument(
            "reader: it has updates of its base's weights, which are not served beside them: run "
            "`expertrag experts merge-adapters` and name the folder that it makes as the generator"
        )
    names = bundle.settings.experts
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for name, weight in bundle.weights.items():
        # model.layers.N.mlp.DOMAIN.gate_up
        parts = name.split(".")
        layers.setdefault(int(parts[2]), {})[".".join(parts[4:])] = weight
    return Beside(
        names=names,
        layers={number: _experts(some, names[:-1]) for number, some in layers.items()},
        base=bundle.fingerprint,
        base_name=bundle.base,
        prompts=bundle.prompts,
        digest=bundle.digest,
        doubt=bundle.doubt,
    )


def _experts(weights: Mapping[str, torch.Tensor], names: tuple[str, ...]) -> PlainExperts:
    """Join what all domains share with what each has of its own: inner units side by side."""
    found = [_joined(weights, name) for name in names]
    width = max(down.shape[1] for _, _, down in found)
    gate_up = [torch.cat([_taller(gate, width), _taller(up, width)]) for gate, up, _ in found]
    down = [_taller(down.T, width).T for _, _, down in found]
    return PlainExperts(torch.stack(gate_up), torch.stack(down).contiguous())


def _joined(
    weights: Mapping[str, torch.Tensor], name: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gate (R, H), up (R, H) and down (H, R) of a domain."""
    parts = dict.fromkeys((GENERAL, name))
    halves = [weights[f"{part}.gate_up"].chunk(2) for part in parts]
    return (
        torch.cat([gate for gate, _ in halves]),
        torch.cat([up for _, up in halves]),
        torch.cat([weights[f"{part}.down"] for part in parts], dim=1),
    )


def _taller(rows: torch.Tensor, height: int) -> torch.Tensor:
    """Add rows of zeros, of inner units that add nothing."""
    return torch.nn.functional.pad(rows, (0, 0, 0, height - rows.shape[0]))
