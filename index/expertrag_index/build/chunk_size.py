"""Decides how long the chunks of a store are: as its first build said, from then on."""

from __future__ import annotations

from expertrag_index.errors import ChunkSizeMismatchError
from expertrag_index.store.manifest import Manifest
from expertrag_index.types import DocumentEmbedder

DEFAULT_CHUNK_TOKENS = 256
"""Longest chunk of a new store: some 200 words, of which a question needs a sentence or two."""


def default_chunk_tokens(embedder: DocumentEmbedder) -> int:
    """Return the longest chunk of a new store, in tokens."""
    return min(DEFAULT_CHUNK_TOKENS, embedder.max_tokens)


def chunk_tokens_of(
    previous: Manifest | None, embedder: DocumentEmbedder, wanted: int | None
) -> int:
    """Return the longest chunk of the next generation of a store, in tokens.

    :param previous: the generation before; one of an earlier version does not say its own: its
        chunks are as long as its embedder reads.
    :param wanted: what a caller asks for; None for what the store has.
    :raises ChunkSizeMismatchError: the store has chunks of another length.
    """
    if previous is None:
        return wanted or default_chunk_tokens(embedder)
    if previous.embedder.fingerprint != embedder.fingerprint:  # the store is being migrated
        return min(previous.chunk_tokens or DEFAULT_CHUNK_TOKENS, embedder.max_tokens)
    known = previous.chunk_tokens or embedder.max_tokens
    if wanted not in (None, known):
        raise ChunkSizeMismatchError(
            f"the store has chunks of up to {known:,} tokens, not {wanted:,}: leave --chunk-tokens "
            "out, or build another store from the documents"
        )
    return known
