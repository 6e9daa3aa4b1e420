"""Publishing what was trained: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """Give a folder to write to, which becomes ``out`` when the block ends without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield scratch
        scratch.chmod(0o755)  # made for its owner alone, as safetensors makes its files
        for path in scratch.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.replace(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
