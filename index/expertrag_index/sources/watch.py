"""Keeps a store in step with folders while their files change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from expertrag_index.errors import StorageFullError, StoreLockedError
from expertrag_index.sources.folder import FolderSource
from expertrag_index.sources.notices import FolderNotices
from expertrag_index.sources.plan import SourcePlan
from expertrag_index.sources.settling import Settling
from expertrag_index.sources.step import OpenWriter, Stepper, StepReport
from expertrag_index.types import LoadFailure

SETTLE_S = 1.0
_LONGEST_HOLD_S = 10.0
"""Most seconds that steady files wait for others that are still being written."""
_LOOK_EVERY_S = 60.0
"""Seconds between looks without a notice: network disks and linked files give none."""
_LOOK_SHARE = 0.5  # most of the time that may go into looking while files change
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Something to tell the user.

    ``kind``: ``watching``, ``written``, ``ready`` (once, when the store is in step), ``waiting``,
    ``failed``, ``note`` or ``stopped``.
    ``report``: of the write; ``failure``: what could not be read.
    """

    kind: str
    message: str
    report: StepReport | None = None
    failure: LoadFailure | None = None


class FolderWatcher:
    """Watches folders until told to stop."""

    def __init__(
        self,
        store: Path,
        folders: Sequence[FolderSource],
        open_writer: OpenWriter,
        *,
        tell: Callable[[WatchEvent], None],
        stop: threading.Event,
        settle_s: float = SETTLE_S,
    ) -> None:
        """Prepare to watch.

        :param open_writer: opens the store for writing; called for each write.
        :param tell: called with what happens.
        :param stop: ends ``run``, after the write that is going on.
        :param settle_s: seconds in which a file must not change before it is read.
        """
        self._store = store
        self._folders = folders
        self._keys = [folder.key for folder in folders]
        self._stepper = Stepper(store, open_writer)
        self._tell = tell
        self._stop = stop
        self._settling = Settling(settle_s)
        self._notices = FolderNotices([folder.folder for folder in folders], store, stop)
        self._said: dict[str, str] = {}
        self._waited_s = 0.0
        self._held_since: float | None = None
        self._pending = 0
        self._looking_s = 0.0
        self._ready = False

    def adopt(self) -> None:
        """Take over stored documents that look like documents of the folders."""
        for folder in self._folders:
            self._stepper.adopt(folder)

    def run(self) -> None:
        """Bring the store into step, and keep it there until ``stop`` is set.

        Waits while another process writes, while the disk is full, and while a folder is missing.

        :raises EmbedderMismatchError: the store was migrated to another embedder meanwhile.
        :raises StoreCorruptError: the store is damaged.
        """
        names = ", ".join(str(folder.folder) for folder in self._folders)
        self._tell(WatchEvent("watching", f"watching {names}"))
        due = earliest = time.monotonic()
        while not self._stop.is_set():
            if self._notices.wait():
                due = min(due, earliest)
            if time.monotonic() < due or self._stop.is_set():
                continue
            wait_s = self._look()
            earliest = time.monotonic() + self._looking_s * (1 / _LOOK_SHARE - 1)
            due = max(time.monotonic() + wait_s, earliest)
        self._tell(WatchEvent("stopped", self._last_words()))

    def _look(self) -> float:
        """Write what changed, if it is ready; return the seconds until the next look is due."""
        if self._notices.problem:
            self._say_unnoticed()
        try:
            waits = self._step()
        except (StoreLockedError, StorageFullError) as error:
            self._say_once("store", WatchEvent("waiting", f"waiting: {error}"))
            return self._back_off()
        self._said.pop("store", None)
        if any(key in self._said for key in self._keys):
            return self._back_off()
        self._waited_s = 0.0
        return min((wait_s for wait_s in waits if wait_s is not None), default=_LOOK_EVERY_S)

    def _step(self) -> list[float | None]:
        """Write what is ready; return the seconds until files that are not may be."""
        began = time.monotonic()
        plans = self._stepper.plan(self._folders)
        now = time.monotonic()
        self._looking_s = now - began
        self._say_missing(plans)
        look = self._settling.look(item for plan in plans for item in plan.changed)
        self._pending = len(look.ready) + len(look.writing)
        if self._pending or any(plan.gone for plan in plans):
            self._held_since = self._held_since or now
        if look.writing and now - (self._held_since or now) < _LONGEST_HOLD_S:
            return [look.wait_s]
        self._write(plans, {item.source for item in look.ready})
        self._pending = len(look.writing)
        return [look.wait_s, self._settling.retry_s]

    def _write(self, plans: Sequence[SourcePlan], ready: set[str]) -> None:
        for plan in plans:
            plan.changed = [item for item in plan.changed if item.source in ready]
        report = self._stepper.apply(plans)
        self._held_since = None
        failed = {each.source for each in report.failures if not each.notice} & ready
        self._forget(ready - failed)
        given_up = set(self._settling.note_failures(failed))
        if report.wrote:
            self._tell(WatchEvent("written", _summary(report), report))
        self._say_failures(report.failures, failed - given_up)
        self._say_unclaimed(plans)
        if not self._ready:
            self._ready = True
            count = report.added + report.changed + report.unchanged
            self._tell(WatchEvent("ready", f"in step: {count:,} documents of these folders"))

    def _back_off(self) -> float:
        self._waited_s = min(max(_FIRST_WAIT_S, 2 * self._waited_s), _LONGEST_WAIT_S)
        return self._waited_s

    def _say_missing(self, plans: Iterable[SourcePlan]) -> None:
        for plan in plans:
            key = plan.source.key
            if plan.unavailable:
                message = f"waiting for {key}: {plan.unavailable}; its documents are kept"
                self._say_once(key, WatchEvent("waiting", message))
            elif self._said.pop(key, None):
                self._tell(WatchEvent("watching", f"{key} is back"))

    def _say_failures(self, failures: Iterable[LoadFailure], retried: set[str]) -> None:
        for failure in failures:
            what = f"{failure.source}: {failure.reason}; {failure.cure}"
            if failure.source in retried:
                message = f"cannot read {failure.source} yet ({failure.reason}); trying again"
                self._say_once(f"{what} tried", WatchEvent("waiting", message, failure=failure))
            elif failure.notice:
                self._say_once(what, WatchEvent("note", f"note {what}", failure=failure))
            else:
                message = f"skipped {what}; the version before, if any, is kept"
                self._say_once(what, WatchEvent("failed", message, failure=failure))

    def _say_unclaimed(self, plans: Iterable[SourcePlan]) -> None:
        for plan in plans:
            if plan.unclaimed:
                self._say_once(
                    f"{plan.source.key} unclaimed",
                    WatchEvent(
                        "note",
                        f"note: {plan.unclaimed:,} documents look like documents of "
                        f"{plan.source.key}, but have no file there, and may be of another folder "
                        "of that name: they are kept; run once with --adopt to delete them",
                    ),
                )

    def _say_unnoticed(self) -> None:
        message = (
            f"changes are not noticed ({self._notices.problem}): looking at all files every "
            f"{_LOOK_EVERY_S:g} s instead; to change that, raise the limits fs.inotify.* of the "
            "system and start again"
        )
        self._say_once("notices", WatchEvent("note", message))

    def _forget(self, read: Collection[str]) -> None:
        """Forget what was said of files that have been read."""
        self._said = {
            topic: said
            for topic, said in self._said.items()
            if topic.partition(": ")[0] not in read
        }

    def _say_once(self, topic: str, event: WatchEvent) -> None:
        if self._said.get(topic) != event.message:
            self._said[topic] = event.message
            self._tell(event)

    def _last_words(self) -> str:
        left = ""
        if self._pending:
            left = f"; {self._pending:,} changed files are not in it yet"
        return f"stopped: {self._store} is whole{left}; the same command goes on from there"


def _summary(report: StepReport) -> str:
    counts = f"{report.added:,} added, {report.changed:,} changed, {report.removed:,} removed"
    names = [*report.read, *(f"-{name}" for name in report.gone)]
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"generation {report.generation}: {counts} in {report.seconds:.1f} s ({shown}{more})"
