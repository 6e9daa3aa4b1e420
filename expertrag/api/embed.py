"""Requests and results of embedding. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["document", "query"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Roles that texts are encoded for."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to encode with the expert of ``domain``; None lets the router choose."""

    texts: Sequence[str]
    role: Role = "document"
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in the order of the texts, L2-normalised, and the name of the embedder.

    ``tokens``: tokens read, with special tokens and without truncated ones; 0 from an older server,
    which does not count them.
    """

    vectors: list[list[float]]
    model: str
    tokens: int
