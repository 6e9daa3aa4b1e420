"""What a server says of itself, of its stores and of their copies.

Importing this module loads only the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IndexStats:
    """The state of a store.

    ``recall`` is recall@10 of the vector index against exact search; 0: not measured, of vectors in
    an engine. ``partitions`` counts the
    chunks by the embedding expert that encoded them; "general" is the base model. ``domains`` and
    ``metadata_fields`` hold at most 1,000 entries; the counts are of all.
    """

    generation: int
    documents: int
    chunks: int
    embedder: str
    dimension: int
    domains: Mapping[str, int]
    metadata_fields: tuple[str, ...]
    size_bytes: int
    recall: float
    created_at: str
    degraded: str = ""
    partitions: Mapping[str, int] = field(default_factory=dict)
    domain_count: int = 0
    metadata_field_count: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """How a server does that serves a copy of a store, or pushes its store for others.

    ``role``: "follower" or "writer". ``newest``: the newest known generation, at the URL for a
    follower, in the store for a writer. ``seconds_behind``: since when the URL and what is served
    were last known to be the same. ``failures``: tries that have failed since; ``problem``: why
    the last one did.
    """

    role: str
    newest: int
    seconds_behind: float
    failures: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection of a server: whether it is in memory, and whether a call may drop it."""

    name: str
    loaded: bool
    droppable: bool


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server's versions, models, limits and index.

    ``problems``: what it answers without, or worse, each as "index: …", "audit: …", "model: …" or
    "replica: …". ``replica``: None if it neither follows a URL nor pushes to one.
    """

    version: str
    embedder: str
    model: str
    gate: str
    context_tokens: int
    max_query_bytes: int
    max_k: int
    index: IndexStats | None = None
    problems: tuple[str, ...] = ()
    replica: ReplicaStatus | None = None
