"""Bundles of domain experts, gates and readers that lie in this package, trained and ready.

How each was made, and what it gains, stands in its card (``README.md`` in its folder).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from expertrag.models.registry import REGISTRY, ReaderModel

SHIPPED_FOLDER = Path(__file__).with_name("bundles")

SHIPPED: tuple[str, ...] = ("minilm-domains",)
"""Names of the bundles, which are names of embedders, too."""


SHIPPED_GATES: tuple[str, ...] = ("adarague-drafts", "qwen-gate")
"""Names of the gates."""


GATES_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-gate"}
"""The shipped gate that was fitted on a package model, by the model's name."""


READERS_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-reader"}
"""The shipped reader that runs beside a package model, by the model's name."""


PROBES_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-probe"}
"""The shipped sufficiency probe of a package model, by the model's name."""


def probe_of(generator: str) -> Path | None:
    """Folder of the shipped probe of a package model; None where there is none."""
    name = PROBES_OF_GENERATORS.get(generator)
    return shipped_folder(name) if name else None


def reader_of(generator: str) -> Path | None:
    """Folder of the shipped reader that runs beside a package model; None where there is none."""
    name = READERS_OF_GENERATORS.get(generator)
    return shipped_folder(name) if name else None


def gate_of(generator: str) -> str | None:
    """Name of the shipped gate that was fitted on a language model; None where there is none."""
    return GATES_OF_GENERATORS.get(generator)


def gate_folder(name: str) -> Path:
    """Folder of a gate: a shipped one by its name, or the folder that is named."""
    return shipped_folder(name) if name in SHIPPED_GATES else Path(name)


def reader_folder(name: str) -> Path:
    """Folder of a reader's bundle: that of a package model, or the folder that is named."""
    if beside := reader_of(name):
        return beside
    model = REGISTRY.get(name)
    return shipped_folder(model.reader) if isinstance(model, ReaderModel) else Path(name)


def shipped_folder(name: str) -> Path:
    """Folder of a shipped bundle."""
    return SHIPPED_FOLDER / name
