"""Deletes old generations at a URL, and what only they need."""

from __future__ import annotations

import time
from collections.abc import Iterable

from expertrag_index.errors import RemoteDamagedError, StoreFormatError
from expertrag_index.replicas.published import generations_at, read_generation
from expertrag_index.replicas.remote import Remote

LEAST_KEPT = 2
_LEFT_S = 24 * 3600.0
"""Age from which an object that no generation names was left by a killed push.

A younger one may belong to a push that is running.
"""


def objects_of(remote: Remote, names: Iterable[str]) -> frozenset[str]:
    """Return the names of all objects that generations need.

    :param names: of the objects that describe them.
    :raises RemoteDamagedError: one of these is damaged or missing.
    :raises StoreFormatError: it was pushed by another version.
    """
    return frozenset[str]().union(*(read_generation(remote, name).objects for name in names))


def collect(remote: Remote, newest: int, keep: int, *, sweep: bool = False) -> int:
    """Delete all generations but the last ones; return the number of deleted objects.

    Deletes nothing if the file list of a kept generation cannot be read.

    :param newest: the published one; higher numbers are being pushed by somebody else.
    :param keep: how many to keep; at least two, for readers that are at the one before.
    :param sweep: also delete what killed pushes have left.
    """
    there = generations_at(remote)
    older = sorted((number for number in there if number <= newest), reverse=True)
    first = older[: max(keep, LEAST_KEPT)][-1] if older else newest
    dropped = [name for number in older if number < first for name in there[number]]
    kept = [name for number in there if number >= first for name in there[number]]
    try:
        needed = objects_of(remote, kept)
        unneeded = objects_of(remote, dropped) - needed
    except (RemoteDamagedError, StoreFormatError):
        return 0
    # first: a generation that lacks objects must not look like one
    remote.delete(dropped)
    remote.delete(sorted(unneeded))
    left = _find_unused(remote, needed) if sweep else []
    remote.delete(left)
    return len(dropped) + len(unneeded) + len(left)


def _find_unused(remote: Remote, needed: frozenset[str]) -> list[str]:
    """Return old objects that no generation needs."""
    before = time.time() - _LEFT_S
    objects = {**remote.listing("files"), **remote.listing("blocks")}
    return [name for name, written in objects.items() if written < before and name not in needed]
