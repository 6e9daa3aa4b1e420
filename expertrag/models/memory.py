"""Available memory of this process, including the limits of its containers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def available_bytes(root: Path = _ROOT) -> int | None:
    """Return the bytes that can be allocated without swapping; None if unknown.

    This is the minimum of the machine's ``MemAvailable`` and of what remains of the limit of every
    control group above this process. A group's page cache can be dropped, and so counts as free.

    :param root: folder of ``proc`` and ``sys``.
    """
    limits = [*_of_machine(root), *_of_groups(root)]
    return min(limits) if limits else None


def _of_machine(root: Path) -> Iterator[int]:
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(root / "proc/meminfo"), re.MULTILINE)
    if match:
        yield int(match[1]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    """Yield what control groups leave, in version 2 ("0::/path") and 1 ("4:memory:/path")."""
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            names = "memory.max", "memory.current", "inactive_file"
            yield from _read_remaining(mounted, path, *names)
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _read_remaining(mounted / "memory", path, *names)


def _read_remaining(mounted: Path, path: str, limit: str, usage: str, files: str) -> Iterator[int]:
    inner = mounted / path.strip("/")
    # in a container, the group may be mounted as the root while the path is the host's
    for folder in (inner, *(above for above in inner.parents if above.is_relative_to(mounted))):
        most, used = (_read(folder / name).strip() for name in (limit, usage))
        if most.isdigit() and used.isdigit():
            match = re.search(rf"^{files} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
            yield max(0, int(most) - int(used) + (int(match[1]) if match else 0))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
