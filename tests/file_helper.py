"""Changed files and full disks, as tests need them."""

from __future__ import annotations

import gzip
import json
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag_common import checksums


def change_json(path: Path, **changes: object) -> None:
    """Change fields of a JSON object in a file, and its checksum, if there is one."""
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))
    reseal(path)


def reseal(*paths: Path) -> None:
    """Record the checksums of changed files, if their folder has any: they are not damaged."""
    for path in paths:
        if (path.parent / checksums.NAME).is_file():
            checksums.seal(path.parent, path.name)


def write_lines(path: Path, records: Iterable[object]) -> Path:
    """Write JSON lines, packed if the file's name says so."""
    data = "".join(f"{json.dumps(record)}\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores SIGXFSZ
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
