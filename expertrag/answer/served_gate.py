"""The fitted gate that decides now, and how it is exchanged for the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from expertrag.api.errors import Conflict
from expertrag.runtime.error_mapping import translated_errors
from expertrag_retriever.gate.bundle import ABOUT, GateBundle, load_gate

_log = structlog.get_logger("expertrag.gate")

_RETRY_SECONDS = 30.0  # after a gate could not be read


class ServedGate:
    """Holds the gate of a folder; follows the folder when another gate is put in its place.

    A gate that is damaged, or that was fitted with other models, is refused: at the start with an
    error, later with a line in the log, and the old one goes on. Thread-safe.
    """

    def __init__(self, folder: Path, check: Callable[[GateBundle], None]) -> None:
        """Load the gate.

        :param check: raises if a gate cannot be used with the models that are loaded.
        :raises ExpertRAGError: there is none, or it cannot be used.
        """
        self._folder = folder
        self._check = check
        self._lock = threading.Lock()
        self._retry_at = 0.0
        self._seen = self._state()
        self._bundle = self._load()

    def current(self) -> GateBundle:
        """Return the gate that decides now."""
        changed = self._state() != self._seen and time.monotonic() >= self._retry_at
        if changed and self._lock.acquire(blocking=False):
            try:
                self._follow()
            finally:
                self._lock.release()
        return self._bundle

    def _follow(self) -> None:
        seen = self._state()
        try:
            self._bundle = self._load()
        # Whatever is wrong with the new gate, a request that the old one can judge is answered.
        except Exception as error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            _log.warning("gate not exchanged", error=str(error), gate=self._bundle.version)
            return
        self._seen = seen
        _log.info("gate exchanged", gate=self._bundle.version)

    def _load(self) -> GateBundle:
        with translated_errors():
            bundle = load_gate(self._folder)
        self._check(bundle)
        return bundle

    def _state(self) -> tuple[int, int] | None:
        """Identify what lies in the folder, cheaply enough to ask at every request."""
        try:
            found = (self._folder / ABOUT).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def check_models(bundle: GateBundle, *, embedder: str | None, generator: str | None) -> None:
    """Check the hashes of the models at hand against those that a gate was fitted with.

    :raises Conflict: another model, whose signals mean something else.
    """
    needs = bundle.needs
    for kind, name, wanted, found in (
        ("embedder", needs.embedder, needs.embedder_fingerprint, embedder),
        ("language model", needs.generator, needs.generator_fingerprint, generator),
    ):
        if wanted is not None and wanted != found:
            raise Conflict(
                f"the gate {bundle.version} was fitted with another {kind} ({name}, {wanted[:8]}; "
                f"here it is {(found or 'none')[:8]}): fit it again with 'expertrag gate fit', or "
                f"use that {kind}",
                reason="GATE_MISMATCH",
                metadata={"gate": bundle.version},
            )
