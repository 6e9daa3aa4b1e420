"""Loads a reranker by its folder or hub id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from expertrag_retriever.errors import EmbedderError, RerankerError
from expertrag_retriever.fingerprint import folder_fingerprint
from expertrag_retriever.model_folder import folder_of
from expertrag_retriever.remote.address import is_remote
from expertrag_retriever.rerank.base import Reranker
from expertrag_retriever.rerank.bundle import is_reranker, load_bundle, read_settings
from expertrag_retriever.rerank.cross_encoder import CrossEncoderReranker


def load_reranker(
    source: str,
    *,
    name: str | None = None,
    device: str = "auto",
    resolve: Callable[[str], str] = str,
) -> Reranker:
    """Load a bundle of ``expertrag train reranker``, or a sentence-transformers CrossEncoder.

    :param source: a folder, the id of a model on the hub, or the name of a model on a server.
    :param name: name in messages; defaults to ``source``.
    :param device: a torch device, or "auto" for CUDA if available, else the CPU; a bundle runs on
        the CPU.
    :param resolve: finds the folder of a bundle's base model by its name.
    :raises DeviceError: the device is not usable here.
    :raises RerankerError: it is missing, damaged or of an unsupported kind.
    :raises RemoteModelError: its server does not answer, or rejects the key or the request.
    """
    if is_remote(source):
        from expertrag_retriever.remote.reranker import connect_reranker

        return connect_reranker(source)
    folder = Path(source).expanduser()
    if is_reranker(folder):
        return _bundle(folder, name or source, resolve)
    from expertrag_retriever.rerank.sentence_transformer import load_pairs

    pairs = load_pairs(source, device)
    try:
        fingerprint = folder_fingerprint(folder_of(source))
    except EmbedderError as error:
        raise RerankerError(str(error)) from error
    return CrossEncoderReranker(name or source, fingerprint, pairs)


def _bundle(folder: Path, name: str, resolve: Callable[[str], str]) -> CrossEncoderReranker:
    _, base = read_settings(folder)
    source = Path(resolve(base.name))
    pairs, settings = load_bundle(folder, source, folder_fingerprint(source))
    return CrossEncoderReranker(name, folder_fingerprint(folder), pairs, settings.search_weight)
