"""Writes a small store in today's format, as an archive.

    PYTHONPATH=tests python tests/data/stores/make_store.py tests/data/stores/format-3.tar.xz

Run it in a checkout of the last version with that format and commit the archive. Later versions
must open it, or migrate it by a command (``tests/index/test_stored_formats.py``).
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path

from store_helper import HashingEmbedder, make_corpus

from expertrag_index.build.writer import IndexWriter


def make_store(archive: Path) -> None:
    """Build three generations: twelve documents, six of them replaced, one deleted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        with IndexWriter.open(path, HashingEmbedder()) as writer:
            writer.build(make_corpus(12))
            writer.add(make_corpus(12, version=1))
            writer.delete(["doc2"])
        (path / "LOCK").unlink()
        with tarfile.open(archive, "w:xz") as file:
            file.add(path, "store")


if __name__ == "__main__":
    make_store(Path(sys.argv[1]))
