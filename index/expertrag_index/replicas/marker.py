"""The file ``REPLICA`` in a store that is a copy: where it comes from, and of which generation.

A copy is replaced by the next pull, so nothing may be written to it. Without the file it is a store
like any other.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from expertrag_common.durable import write_durably
from expertrag_index.errors import IndexStoreError, ReadOnlyReplicaError, StoreCorruptError
from expertrag_index.store.layout import Layout

_NAME = "REPLICA"


@dataclass(frozen=True, slots=True)
class ReplicaMarker:
    """``url``: where a copy comes from, without credentials; ``line``: what CURRENT was there."""

    url: str
    generation: int
    line: str


def write_marker(copy: Layout, marker: ReplicaMarker) -> None:
    """Mark a store as a copy."""
    write_durably(copy.root / _NAME, (json.dumps(asdict(marker)) + "\n").encode())


def read_marker(layout: Layout) -> ReplicaMarker | None:
    """Return what a copy comes from; None for a store of its own, or if there is none.

    :raises StoreCorruptError: the file is damaged.
    """
    path = layout.root / _NAME
    try:
        return ReplicaMarker(**json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError):
        raise StoreCorruptError(
            f"{path} is damaged: delete {layout.root} and pull it again"
        ) from None


def refuse_writes(layout: Layout) -> None:
    """Check that a store is not a copy, before it is written to.

    :raises ReadOnlyReplicaError: it is one.
    """
    marker = read_marker(layout)
    if marker is not None:
        raise ReadOnlyReplicaError(
            f"{layout.root} is a copy of the store at {marker.url}, which the next pull replaces: "
            f"write to the store that is pushed there, or delete {layout.root / _NAME} to make "
            "this a store of its own"
        )


def check_replaceable(store: Path) -> None:
    """Check that a pull may put a copy at this path.

    :raises IndexStoreError: something else is there.
    """
    layout = Layout(Path(store))
    if not layout.root.exists() or read_marker(layout) is not None:
        return
    if not layout.root.is_dir():
        raise IndexStoreError(f"{layout.root} is a file: give a folder for the copy")
    if any(layout.root.iterdir()):
        kind = "a store of its own" if layout.database.exists() else "not empty, and no store"
        raise IndexStoreError(f"{layout.root} is {kind}: pull to another folder")
