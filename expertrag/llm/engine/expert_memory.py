"""Models larger than memory: a limit on the weights of a packed mixture, and what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.llm.engine.lowering import Lowered
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.packed import PackedExperts
from expertrag_kernels.residency import ExpertReads


def limit_weights(name: str, lowered: Lowered, most_mib: int) -> None:
    """Hold at most ``most_mib`` MiB of a model's weights: all but experts, and as many of these.

    :param lowered: its mixtures are mapped from their file, everything else is in memory.
    :raises InvalidArgument: it has no mixture, or the limit is too small for a step.
    :raises ServerError: the file cannot be opened.
    """
    decoder = cast("Decoder", lowered.decoder)  # packed models run on the CPU
    if not (least := decoder.least_experts_bytes):
        raise InvalidArgument(
            f"lab.weights_mib leaves experts in the file of a mixture, and {name} is none: serve "
            "it without"
        )
    others = sum(
        weight.nbytes if isinstance(weight, torch.Tensor) else weight.data.nbytes
        for weight in lowered.weights.values()
        if not (isinstance(weight, PackedExperts) and weight.mapped)
    )
    if most_mib << 20 < others + least:
        raise InvalidArgument(
            f"lab.weights_mib {most_mib} is too small for {name}: its weights other than experts "
            f"and the experts of one token take {-(-(others + least) >> 20)} MiB"
        )
    try:
        decoder.limit_experts((most_mib << 20) - others)
    except RuntimeError as error:
        raise ServerError(f"{name} cannot be read ({error})", reason="MODEL_DAMAGED") from error


def expert_counts(reads: ExpertReads) -> Mapping[str, int]:
    """Return what was read by the names of ``Usage`` and of the engine's counters."""
    return {
        "expert_hits": reads.hits,
        "expert_misses": reads.misses,
        "expert_bytes_read": reads.bytes_read,
        "expert_stalled_ms": round(reads.stalled_seconds * 1e3),
    }
