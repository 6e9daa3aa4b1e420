"""Refuses to remove much of a store if nobody has said that this is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from expertrag_index.errors import TooManyRemovalsError

CheckRemovals = Callable[[int, int], None]
"""Called with the number of documents to remove, and of all documents of a store, before it
changes; raises to leave it as it is."""


def refuse_removals(removed: int, total: int, because: str = "") -> NoReturn:
    """Refuse to remove documents.

    :param because: why they would be removed, after a comma.
    :raises TooManyRemovalsError: always.
    """
    raise TooManyRemovalsError(
        f"{removed:,} of {total:,} documents would be deleted{because}: nothing was changed; "
        "if that is right, run it again with --yes"
    )
