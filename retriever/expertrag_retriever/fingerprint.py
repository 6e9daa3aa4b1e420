"""Fingerprint of a model folder: it changes with every file that changes a vector."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from expertrag_retriever.model_folder import folder_of
from expertrag_retriever.prompts import missing_prompts

_WEIGHTS_AND_SETTINGS = frozenset({".json", ".txt", ".model", ".safetensors", ".bin"})
_BLOCK_BYTES = 1 << 20
_ABOUT = "card.json"  # written by `models pull`, with timestamps: not part of the model


def folder_fingerprint(folder: Path, without: Collection[str] = ()) -> str:
    """Hash the weights, configuration and vocabulary files below a folder, by relative name.

    A file is read again only when its size or modification time has changed: 90 MB take about
    0.1 s. READMEs, the ``card.json`` of a pulled model and other exports (``onnx/``, ``openvino/``)
    do not count.

    :param without: further relative names to leave out.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix not in _WEIGHTS_AND_SETTINGS or name.parts[0] in {"onnx", "openvino"}:
            continue
        if name.as_posix() == _ABOUT or name.as_posix() in without:
            continue
        stat = path.stat()
        content = _file_digest(path, stat.st_size, stat.st_mtime_ns)
        digest.update(f"{name.as_posix()}\0{content}\n".encode())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=1024)
def _file_digest(path: Path, size_bytes: int, modified_ns: int) -> str:
    del size_bytes, modified_ns  # they are part of the cache's key
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def fingerprint_of(source: str) -> str:
    """Hash the files of a model that has been loaded, and the prompts that its family gives it."""
    folder = folder_of(source)
    own, prompts = folder_fingerprint(folder), missing_prompts(source, folder)
    if prompts is None:
        return own
    return hashlib.sha256(f"{own} {prompts.query}\0{prompts.document}".encode()).hexdigest()[:32]
