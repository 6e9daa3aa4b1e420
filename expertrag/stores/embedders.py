"""Loads the embedder of a store, without the packages of a language model."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from expertrag import models
from expertrag.api.errors import NotFound
from expertrag.config import AUTO_EMBEDDER, ModelConfig
from expertrag.runtime.error_mapping import translate_errors
from expertrag.runtime.threads import one_core
from expertrag_index.errors import StoreCorruptError, StoreNotFoundError
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.opening import read_manifest
from expertrag_retriever.base import Embedder
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.experts.bundle import base_of, is_bundle
from expertrag_retriever.remote.address import is_remote

DEFAULT_EMBEDDER = "minilm-domains"
"""Embedder of a new store of English documents, unless the caller names another."""

_COMPARED = 8
"""Chunks of a store that a server embeds again, to compare the vectors."""

LEAST_OTHER_TEXT = 0.1
"""Share of text in other languages than English from which a store gets the multilingual embedder.

Of 17 English sets, none has more than .03 of such text. The nDCG@10 of English questions over
German and Chinese documents is .72 and .31 with the default embedder. With the multilingual one it
is .92 and .85 (hybrid search, lab/results/languages.json).
"""


def open_embedder(model: ModelConfig, store: Path | None) -> Embedder:
    """Load the configured embedder; ``auto`` is the one that built the store.

    :param store: None for a store that does not exist yet.
    :raises ExpertRAGError: if it cannot be used; the message has the fix.
    """
    with translate_errors():
        name = embedder_name(model, store)
        if is_remote(name):
            return _connect(name, store)
        source = models.resolve(name)
        if is_bundle(folder := Path(source)):
            base = models.resolve(base_of(folder).name)
            return load_embedder(base, name=name, device=model.device, experts=folder)
        return load_embedder(source, name=name, device=model.device)


def _connect(name: str, store: Path | None) -> Embedder:
    """Connect to an embedder on a server, and compare its vectors with some of the store.

    :raises RemoteModelError: the server now has another model than the store was built with.
    """
    from expertrag_retriever.remote.embedder import connect_embedder

    embedder = connect_embedder(name)
    try:
        opened = None if store is None else Index.open(store)
    except StoreNotFoundError:
        opened = None
    if opened is not None:
        with opened as index:
            if index.manifest.embedder.fingerprint == embedder.fingerprint:
                sample = index.sample_chunks(_COMPARED)
                keys = np.array([key for key, _ in sample], np.int64)
                texts = [chunk.embedding_text for _, chunk in sample]
                embedder.check_same(texts, index.read_vectors(keys))
    return embedder


def open_worker_embedder(model: ModelConfig) -> Embedder:
    """Load the embedder that ``model`` names in a worker of a build, which has one core."""
    one_core()
    return open_embedder(model, None)


def embedder_name(model: ModelConfig, store: Path | None) -> str:
    """Return the name of the configured embedder, as a store records it."""
    name = model.embedder
    if name == AUTO_EMBEDDER:
        with translate_errors():
            name = _embedder_of(store)
    if Path(name).is_dir():
        name = str(Path(name).resolve())  # the store records it, for any working directory
    return name


def choose_embedder(model: ModelConfig, store: Path, other: float) -> ModelConfig:
    """Name the embedder of a new store by the languages of its documents, if it is ``auto``.

    It stays ``auto`` if the multilingual embedder is not pulled.

    :param other: share of the text that is in other languages than English, in [0, 1].
    :raises ServerError: a file of the multilingual embedder is missing or damaged.
    """
    is_new = not Layout(store).generation_numbers()
    if model.embedder != AUTO_EMBEDDER or not is_new or other < LEAST_OTHER_TEXT:
        return model
    try:
        models.resolve(models.MULTILINGUAL)
    except NotFound:
        return model
    return replace(model, embedder=models.MULTILINGUAL)


def _embedder_of(store: Path | None) -> str:
    """Return the embedder of the generation that will be opened.

    Its manifest has the name, unless the generation before is of another embedder: then the one
    whose files are intact decides.
    """
    if store is None:
        return DEFAULT_EMBEDDER
    layout = Layout(store)
    with suppress(StoreCorruptError):
        kept = [read_manifest(layout, number) for number in layout.generation_numbers()]
        names = {manifest.embedder.name for manifest in kept}
        if len(names) == 1:
            return names.pop()
    try:
        with Index.open(store) as index:
            return index.manifest.embedder.name
    except StoreNotFoundError:
        return DEFAULT_EMBEDDER
