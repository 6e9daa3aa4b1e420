"""A control group of Linux that bounds the memory of a command, its file cache included."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A group of its own; needs the right to make one (root)."""

    def __init__(self, name: str) -> None:
        old = (_V1 / "memory.limit_in_bytes").exists()
        self.path = (_V1 if old else _V2) / name
        self._limit = "memory.limit_in_bytes" if old else "memory.max"
        self._none = "-1" if old else "max"
        self._peak = "memory.max_usage_in_bytes" if old else "memory.peak"
        try:
            self.path.mkdir(exist_ok=True)
            assert (self.path / self._limit).exists(), "memory is not controlled here"
        except (OSError, AssertionError) as error:
            raise SystemExit(f"this needs a memory cgroup, as root ({error})") from error

    def run(self, command: Sequence[str], limit: int | None = None) -> str:
        """Run a command with at most ``limit`` bytes; return its output."""
        self._write(self._limit, str(limit) if limit else self._none)

        def enter() -> None:
            self._write("cgroup.procs", str(os.getpid()))

        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=enter
        )
        return done.stdout

    def peak(self) -> int:
        """Return the most memory that a command has used in this group, in bytes."""
        return int((self.path / self._peak).read_text())

    def remove(self) -> None:
        """Remove the group."""
        self.path.rmdir()

    def _write(self, name: str, value: str) -> None:
        (self.path / name).write_text(value)
