"""Which experts of a mixture the sequences of a domain may use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, eq=False)
class ExpertPattern:
    """The experts that routers may choose for the questions of a domain.

    :param name: of the domain.
    :param open: (R, E) bool, for each of R routers that choose by token; null experts are open.
    """

    name: str
    open: torch.Tensor


def fingerprint_with(fingerprint: str, patterns: Iterable[ExpertPattern]) -> str:
    """Hash what determines a model's answers: its files, and the experts that answer a domain."""
    digest = hashlib.sha256(fingerprint.encode())
    for pattern in patterns:
        digest.update(pattern.name.encode() + b"\0" + pattern.open.numpy().tobytes())
    return digest.hexdigest()[:16]
