"""Writes a file that appears under its name once it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag.api.errors import Conflict
from expertrag.llm.convert.checkpoint import make_publishable
from expertrag_common.durable import fsync_folder
from expertrag_retriever.publish import scratch_folder


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes ``out`` if the block ends without an error.

    :raises Conflict: ``out`` exists.
    """
    taken = Conflict(f"{out} exists; delete it or choose another name")
    if out.exists():
        raise taken
    with scratch_folder(out) as scratch:
        yield scratch / out.name
        make_publishable(scratch)
        if out.exists():  # created meanwhile; os.replace overwrites files, unlike folders
            raise taken
        os.replace(scratch / out.name, out)
        fsync_folder(out.parent)
