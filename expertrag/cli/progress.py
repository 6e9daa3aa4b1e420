"""Progress on stderr, with the time left: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from expertrag.cli.output import note, one_line, size

if TYPE_CHECKING:
    from expertrag_index.types import Progress

LINE_EVERY_S = 5.0


@contextmanager
def progress(in_bytes: tuple[str, ...] = ()) -> Iterator[Progress]:
    """Yield a progress function; its bar is closed at the end of the block.

    :param in_bytes: first words of the names of stages that count bytes.
    """
    if not _has_columns():
        yield _Lines(in_bytes)
        return
    try:
        bars: _Bars | _Lines = _Bars(in_bytes)
    except ModuleNotFoundError:  # tqdm comes with the server extra
        bars = _Lines(in_bytes)
    try:
        yield bars
    finally:
        if isinstance(bars, _Bars):
            bars.close()


class Relay:
    """Passes progress on while it is shown, and drops it otherwise: for a writer that is kept."""

    def __init__(self) -> None:
        self._report: Progress | None = None

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take a step of progress."""
        if self._report is not None:
            self._report(stage, done, total)

    @contextmanager
    def show(self, in_bytes: tuple[str, ...] = ()) -> Iterator[None]:
        """Show progress in this block, as ``progress`` does."""
        with progress(in_bytes) as self._report:
            try:
                yield
            finally:
                self._report = None


def _has_columns() -> bool:
    """Return whether stderr is a terminal of known width; otherwise a bar would not show."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except OSError:
        return False


class _Lines:
    """Prints the first and last step of every stage, and a line every 5 s in between."""

    def __init__(self, in_bytes: tuple[str, ...] = ()) -> None:
        self._in_bytes = in_bytes
        self._stage = ""
        self._next = 0.0
        self._began = (0.0, 0)  # time and steps done at the first report of the stage
        self._last: tuple[int, int | None] = (0, None)

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._next, self._began = stage, now, (now, done)
            self._last = (0, None)
        finished = done == total and (done, total) != self._last
        self._last = done, total
        if now >= self._next or finished:
            write = size if _first_word(stage) in self._in_bytes else str
            counts = write(done)
            if total is not None:
                counts += f"/{write(total)}{self._estimate_left(now, done, total)}"
            note(f"{one_line(stage)}: {counts}")
            self._next = now + LINE_EVERY_S

    def _estimate_left(self, now: float, done: int, total: int) -> str:
        began, already = self._began
        if not already < done < total:
            return ""
        seconds = round((now - began) / (done - already) * (total - done))
        return f", {seconds // 60} min {seconds % 60} s left" if seconds else ""


class _Bars:
    """Shows one tqdm bar at a time, for the current stage."""

    def __init__(self, in_bytes: tuple[str, ...] = ()) -> None:
        from tqdm import tqdm

        self._in_bytes = in_bytes
        self._tqdm: Any = tqdm
        self._bar: Any = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage = stage
            unit = {}
            if _first_word(stage) in self._in_bytes:
                unit = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
            self._bar = self._tqdm(
                desc=one_line(stage),
                total=total,
                file=sys.stderr,
                dynamic_ncols=True,
                initial=done,
                **unit,
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)  # redraws at most ten times a second

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _first_word(stage: str) -> str:
    return stage.partition(" ")[0]
