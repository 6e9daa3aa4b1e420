"""Keeps the work of a long training for the next run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from expertrag_retriever.publish import hold_folder


@contextmanager
def work_folder(out: Path, *, keep: bool = False) -> Iterator[Path]:
    """Lock and yield the work folder ``OUT.partial``; delete it if the block ends without an error.

    After an error, it stays for the next run if there are files in it.

    :param keep: do not delete it: a later step continues there.
    :raises OutputTakenError: another run is using it.
    """
    folder = out.with_name(f"{out.name}.partial")
    with hold_folder(folder, out):
        try:
            yield folder
        except BaseException:
            _remove_empty(folder)
            raise
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    """Remove a folder and its subfolders, as far as they hold no files."""
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # not empty
            os.rmdir(path)
