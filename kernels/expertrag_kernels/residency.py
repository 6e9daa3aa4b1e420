"""Models larger than memory: experts that stay in their file until a step needs them.

See ``cpu/residency.h`` for what is read ahead and which expert gives way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import torch

from expertrag_kernels import cpu_experts
from expertrag_kernels.layout import layer_bytes
from expertrag_kernels.packed import PackedExperts


class Mixture(NamedTuple):
    """The experts of a layer, and how many of them a token uses."""

    experts: PackedExperts
    top_k: int


@dataclass(frozen=True, slots=True)
class ExpertReads:
    """What a decoder has read since its experts were limited.

    ``hits`` and ``misses``: experts that were in memory when a layer of a step needed them, and
    those that were not. ``read_ahead``: of the hits, those that were read for this use, before it.
    ``stalled_seconds``: the time in which a step waited for an expert.
    """

    hits: int = 0
    misses: int = 0
    read_ahead: int = 0
    bytes_read: int = 0
    stalled_seconds: float = 0.0

    def __add__(self, other: ExpertReads) -> ExpertReads:
        """Return the sum of both."""
        return ExpertReads(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: ExpertReads) -> ExpertReads:
        """Return what has been read since ``other``."""
        return ExpertReads(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


def least_bytes(mixtures: Sequence[Mixture]) -> int:
    """Return the memory for the experts that one token uses in a layer, in bytes."""
    place = max((_place_bytes(mixture.experts) for mixture in mixtures), default=0)
    return place * max((mixture.top_k for mixture in mixtures), default=0)


def limit(program: Any, mixtures: Sequence[Mixture], size: int) -> None:
    """Limit a program's experts to ``size`` bytes of memory.

    :raises ValueError: there are no mixtures, they are not mapped from one file, or ``size`` does
        not hold the experts that one token uses in a layer.
    :raises RuntimeError: the file cannot be opened.
    """
    places = [mixture.experts.mapped for mixture in mixtures]
    mapped = [place for place in places if place is not None]
    if not mapped or len(mapped) < len(places) or len({place.path for place in mapped}) > 1:
        raise ValueError("only mixtures of experts that are mapped from one file can be limited")
    if size < (least := least_bytes(mixtures)):
        raise ValueError(f"the experts of one token need {least} bytes; got {size}")
    program.limit_experts(str(mapped[0].path), size, [place.start for place in mapped])


def prefer(program: Any, patterns: Sequence[torch.Tensor]) -> None:
    """Prefer the experts that are open in some pattern; see :meth:`Steps.prefer_experts`."""
    if not patterns:
        program.prefer_experts(0, 0)
        return
    either = torch.stack(list(patterns)).any(0)
    program.prefer_experts(either.data_ptr(), either.shape[1])


def reads(program: Any) -> ExpertReads:
    """Return what a program has read."""
    return ExpertReads(*program.expert_counters())


def _place_bytes(experts: PackedExperts) -> int:
    own = layer_bytes(experts.format, 1, experts.hidden_size, experts.inner_size)
    return cpu_experts.expert_place_bytes(own)
