"""The served fitted gate, and its replacement by the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from expertrag.api.errors import Conflict
from expertrag.runtime.error_mapping import translate_errors
from expertrag.runtime.hot_swap import HotSwap
from expertrag_retriever.gate.bundle import ABOUT, GateBundle, load_gate

_log = structlog.get_logger("expertrag.gate")


class ServedGate:
    """Holds the gate of a folder, and reloads it when the folder is replaced.

    A gate that is damaged, or was fitted with other models, is rejected. At the start that is an
    error; later it is logged, and the old gate stays in use. Thread-safe.
    """

    def __init__(self, folder: Path, check: Callable[[GateBundle], None]) -> None:
        """Load the gate.

        :param check: raises if a gate cannot be used with the loaded models.
        :raises ExpertRAGError: if there is no gate, or it cannot be used.
        """
        self._folder = folder
        self._check = check
        self._swap = HotSwap(folder / ABOUT, "gate", self._replace)
        self._bundle = self._load()

    def current(self) -> GateBundle:
        """Return the current gate."""
        self._swap.follow()
        return self._bundle

    def _replace(self) -> None:
        self._bundle = self._load()
        _log.info("gate replaced", gate=self._bundle.version)

    def _load(self) -> GateBundle:
        with translate_errors():
            bundle = load_gate(self._folder)
        self._check(bundle)
        return bundle


def check_models(bundle: GateBundle, *, embedder: str | None, generator: str | None) -> None:
    """Check the hashes of the loaded models against those that a gate was fitted with.

    :raises Conflict: if a model differs, because its signals would mean something else.
    """
    needs = bundle.needs
    for kind, name, wanted, actual in (
        ("embedder", needs.embedder, needs.embedder_fingerprint, embedder),
        ("language model", needs.generator, needs.generator_fingerprint, generator),
    ):
        if wanted is not None and wanted != actual:
            raise Conflict(
                f"the gate {bundle.version} was fitted with another {kind} ({name}, {wanted[:8]}; "
                f"here it is {(actual or 'none')[:8]}): fit it again with 'expertrag train gate', "
                f"or use that {kind}",
                reason="GATE_MISMATCH",
                metadata={"gate": bundle.version},
            )
