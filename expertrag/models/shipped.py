"""Trained bundles of domain experts, gates, readers and probes that ship in this package.

Each bundle's card (``README.md`` in its folder) describes its training and its gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from expertrag.api.errors import NotFound
from expertrag.models.registry import REGISTRY, ReaderModel

SHIPPED_FOLDER = Path(__file__).with_name("bundles")

SHIPPED: tuple[str, ...] = ("minilm-domains",)
"""Names of the expert bundles, which are also embedder names."""


SHIPPED_RERANKERS: tuple[str, ...] = ("minilm-tokens",)
"""Names of the shipped rerankers; the first is the one of ``model.reranker`` auto and on."""


SHIPPED_GATES: tuple[str, ...] = ("qwen-gate",)
"""Names of the shipped gates."""


WITHDRAWN_GATES: Mapping[str, str] = {
    "adarague-drafts": "fit it by `make lab-gate-bundle DATA=...` and name its folder, or set "
    "gate.bundle to auto"
}
"""What to do instead, by the name of each gate that was shipped once."""


GATES_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-gate"}
"""The shipped gate fitted on each package model, by the model's name."""


READERS_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-reader"}
"""The shipped reader that runs with each package model, by the model's name."""


PROBES_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-probe"}
"""The shipped sufficiency probe of each package model, by the model's name."""


INTERNAL_PROBES_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-internal"}
"""The shipped probe of internal questions of each package model, by the model's name."""


SCOPE_PROBES_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-scope"}
"""The shipped probe of what a question asks of each package model, by the model's name."""


CONFIDENCES_OF_GENERATORS: Mapping[str, str] = {"qwen2.5-coder-1.5b-instruct": "qwen-confidence"}
"""The shipped weights of the probability that an answer is right, by the model's name."""


def confidence_of(generator: str) -> Path | None:
    """Return the folder of the shipped weights for a package model; None if there is none."""
    name = CONFIDENCES_OF_GENERATORS.get(generator)
    return bundle_folder(name) if name else None


def internal_probe_of(generator: str) -> Path | None:
    """Return the folder of the shipped probe of internal questions; None if there is none."""
    name = INTERNAL_PROBES_OF_GENERATORS.get(generator)
    return bundle_folder(name) if name else None


def scope_probe_of(generator: str) -> Path | None:
    """Return the folder of the shipped probe of what a question asks; None if there is none."""
    name = SCOPE_PROBES_OF_GENERATORS.get(generator)
    return bundle_folder(name) if name else None


def probe_of(generator: str) -> Path | None:
    """Return the folder of the shipped probe of a package model; None if there is none."""
    name = PROBES_OF_GENERATORS.get(generator)
    return bundle_folder(name) if name else None


def reader_of(generator: str) -> Path | None:
    """Return the folder of the shipped reader for a package model; None if there is none."""
    name = READERS_OF_GENERATORS.get(generator)
    return bundle_folder(name) if name else None


def gate_of(generator: str) -> str | None:
    """Return the name of the shipped gate fitted on a language model; None if there is none."""
    return GATES_OF_GENERATORS.get(generator)


def gate_folder(name: str) -> Path:
    """Return the folder of a gate: a shipped one by its name, else ``name`` as a folder.

    :raises NotFound: the gate was shipped once, and no folder has its name.
    """
    if name in WITHDRAWN_GATES and not Path(name).exists():
        raise NotFound(
            f"the gate {name} is not shipped any more: {WITHDRAWN_GATES[name]}",
            reason="GATE_NOT_FOUND",
        )
    return bundle_folder(name) if name in SHIPPED_GATES else Path(name)


def reranker_source(name: str) -> str:
    """Return the folder of a shipped reranker by its name; any other name is returned as it is."""
    return str(bundle_folder(name)) if name in SHIPPED_RERANKERS else name


def reader_folder(name: str) -> Path:
    """Return the folder of a reader: a package model's reader, else ``name`` as a folder."""
    if reader := reader_of(name):
        return reader
    model = REGISTRY.get(name)
    return bundle_folder(model.reader) if isinstance(model, ReaderModel) else Path(name)


def bundle_folder(name: str) -> Path:
    """Return the folder of a shipped bundle."""
    return SHIPPED_FOLDER / name
