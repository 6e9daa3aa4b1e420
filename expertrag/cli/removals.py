"""Asks before a build removes much of a store."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from expertrag.cli.options import flag

_MUCH = 0.1
"""Share of a store's documents that a build removes without a question."""

yes_flag = flag(
    "--yes", is_flag=True, help="Remove documents even if they are over a tenth of the store."
)


def removal_check(yes: bool) -> Callable[[int, int], None]:
    """Return what a writer calls with the number of documents to remove, and of all.

    On a terminal it asks; elsewhere, and if the answer is no, it raises ``TooManyRemovalsError``.
    """
    from expertrag_index.upkeep.removals import refuse_removals

    def check(removed: int, total: int) -> None:
        if yes or removed <= _MUCH * total:
            return
        if sys.stdin.isatty() and sys.stderr.isatty():
            question = f"\n{removed:,} of {total:,} documents are not in DOCS. Remove them?"
            if click.confirm(question, err=True):
                return
        refuse_removals(removed, total, ", as they are not in DOCS (`index add` keeps them)")

    return check
