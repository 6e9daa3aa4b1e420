"""Models that travel as Python packages: pulled with pip, checked, kept in a cache.

    CACHE/models/NAME/          the model's folder, made whole before it gets this name
    CACHE/models/NAME/card.json source, licence, and size, time and sha256 of every file
    CACHE/models/NAME.lock      held while pulling: a second process waits, then reuses
    CACHE/models/NAME.part/     work in progress; a killed pull leaves it, the next one removes it

A model that a reader is merged into is pulled first, and stays. ``CACHE`` is ``EXPERTRAG_CACHE`` or
the user's cache folder. The download obeys the user's own pip configuration. Bundles of domain
experts, gates and readers are small and lie in this package. Every other name (a folder, a hub id)
passes through :func:`resolve` unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from expertrag.errors import NotFound, ServerError
from expertrag.models.card import find_problem
from expertrag.models.fetch import pull, size_of
from expertrag.models.registry import REGISTRY, PackageModel, cache_folder, folder_of, registered
from expertrag.models.shipped import (
    SHIPPED,
    SHIPPED_GATES,
    gate_folder,
    reader_folder,
    shipped_folder,
)

if TYPE_CHECKING:
    from expertrag_index.types import Progress

__all__ = [
    "REGISTRY",
    "SHIPPED",
    "SHIPPED_GATES",
    "ModelState",
    "PackageModel",
    "cache_folder",
    "check",
    "ensure",
    "gate_folder",
    "listing",
    "path",
    "pull",
    "reader_folder",
    "resolve",
]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A package model and what the cache holds of it; ``problem`` is one line, empty when ready."""

    name: str
    role: str
    requirement: str
    licence: str
    folder: Path
    state: Literal["ready", "missing", "damaged"]
    size_bytes: int = 0
    problem: str = ""


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
        requirement=model.requirement,
        licence=model.licence,
        folder=folder,
        state="ready",
        size_bytes=size_of(folder),
    )
    problem = find_problem(model, folder, thorough=thorough)
    if problem is None:
        return state
    missing = isinstance(problem, NotFound)
    return replace(state, state="missing" if missing else "damaged", problem=problem.message)
