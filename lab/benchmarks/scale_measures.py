"""What the parts of ``bench_scale.py`` measure with: times, memory, bytes, the page cache.

Nothing but the standard library is needed, so that other engines' environments can import it.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Figures = dict[str, float]

_MEMORY = ("VmRSS", "RssAnon", "RssFile")


def timed(calls: Sequence[Callable[[], object]], limit_s: float = float("inf")) -> Figures:
    """Call each once; return percentiles of the clock, and the CPU of a call, in milliseconds.

    :param limit_s: seconds after which no further call is made; five are made in any case.
    """
    seconds: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    for call in calls:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
        if len(seconds) >= 5 and time.perf_counter() - began > limit_s:
            break
    cpu = time.process_time() - cpu
    return {**percentiles(seconds), "cpu_ms": round(1e3 * cpu / len(seconds), 3)}


def percentiles(seconds: Sequence[float]) -> Figures:
    """Return the first, the median, the 95th percentile and the worst, in milliseconds."""
    ordered = sorted(seconds)
    found = {
        "p50_ms": statistics.median(ordered),
        "p95_ms": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "worst_ms": ordered[-1],
        "first_ms": seconds[0],
    }
    rounded = {name: round(1e3 * value, 3) for name, value in found.items()}
    return {**rounded, "calls": len(seconds)}


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def drop_page_cache(folder: Path) -> None:
    """Make the system forget the content of the files below a folder; others may not map them."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # only what is on the disk can be forgotten
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_files(folder: Path) -> None:
    """Read all files below a folder, so that they are in the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(1 << 24):
                    pass


def memory(pid: int | str = "self") -> Figures:
    """Resident bytes of a process: in all, anonymous, and of files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    names = ("rss", "anon", "file")
    return {
        name: int(fields[key].split()[0]) * 1024.0 for name, key in zip(names, _MEMORY, strict=True)
    }


def written(pid: int | str = "self") -> int:
    """Bytes that a process has written: through calls, or, if it is more, by dirtying pages.

    Pages of a mapped file are not written by calls, and pages that are written several times before
    the system stores them are counted once.
    """
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    fields = dict(line.split(": ") for line in lines)
    return max(int(fields["wchar"]), int(fields["write_bytes"]))


class Peak:
    """The most memory that a process and its children have had, in bytes."""

    def __init__(self) -> None:
        self.rss = self.anon = 0.0

    def look(self, pid: int) -> None:
        """Add up the processes of a tree; those that end meanwhile are left out."""
        total = {"rss": 0.0, "anon": 0.0}
        for each in _tree(pid):
            try:
                found = memory(each)
            except (OSError, KeyError):  # ended, or about to
                continue
            for name in total:
                total[name] += found[name]
        self.rss = max(self.rss, total["rss"])
        self.anon = max(self.anon, total["anon"])


@contextmanager
def peak_memory(pid: int, every_s: float = 0.1) -> Iterator[Peak]:
    """Watch a process and its children; pages that they share count for each in ``rss``."""
    peak, stop = Peak(), threading.Event()

    def watch() -> None:
        while not stop.wait(every_s):
            peak.look(pid)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return
    for child in children:
        yield from _tree(int(child))
