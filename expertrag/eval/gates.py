"""Gates whose decisions on rows can be replayed, whatever made them.

A gate is named by ``training-free-3``, the service's own, whose p(benefit) ``expertrag eval
record`` writes into the rows; by the folder of a fitted one (``expertrag gate fit``), which looks
at the rows itself; or by a JSON-lines file ``{"_id", "p_benefit"}``, in which any gate from
anywhere can be scored. A line of the file may say its ``"set"``, the name of a file of rows,
and must where two of these share the id.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from expertrag import models
from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.data.files import read_lines
from expertrag.data.types import JSON, GateRecord, RowSet
from expertrag.runtime.error_mapping import translated_errors
from expertrag_retriever.gate.signals import SignalGroup

if TYPE_CHECKING:
    from expertrag.config import ModelConfig
    from expertrag.train.gate.signals import SignalSource
    from expertrag_index.types import Progress
    from expertrag_retriever.gate.bundle import GateBundle


def silent(_stage: str, _done: int, _total: int | None) -> None:
    """Show no progress."""


FILE_THRESHOLD = 0.5
"""Threshold of a file of probabilities: even costs, retrieve when it helps more likely than not."""

_Key = tuple[str | None, str]
"""Set, None for any, and id of a row."""


@dataclass(frozen=True, slots=True)
class RowGate(ABC):
    """Says of every row how likely retrieval turns a wrong answer into a right one.

    It retrieves from p(benefit) = ``threshold`` on. ``fingerprint`` changes with anything but the
    rows that the probabilities depend on.
    """

    name: str
    fingerprint: str
    threshold: float
    recorded: ClassVar[bool] = False
    """Whether what the rows recorded of a gate's cost is the cost of this one."""

    @property
    def extra_calls(self) -> tuple[int, int]:
        """LM calls of deciding that come on top of a closed-book answer, and of one with retrieval.

        Without those that the rows recorded.
        """
        return 0, 0

    @property
    def inputs(self) -> dict[str, JSON]:
        """What identifies the gate, for the manifest."""
        return {"name": self.name, "fingerprint": self.fingerprint, "threshold": self.threshold}

    @abstractmethod
    def probabilities(self, row_set: RowSet) -> NDArray[np.float64]:
        """Return p(benefit) of every row, shape [N].

        :raises InvalidArgument: the gate does not know a row.
        """
        ...


@dataclass(frozen=True, slots=True)
class RecordedGate(RowGate):
    """The gate that the rows were recorded with."""

    recorded = True

    def probabilities(self, row_set: RowSet) -> NDArray[np.float64]:
        """Read p(benefit) from the rows."""
        return np.array([record.p_benefit for record in _records(row_set, self.name)], float)


@dataclass(frozen=True, slots=True)
class FileGate(RowGate):
    """Probabilities from a file."""

    p_benefit: Mapping[_Key, float]

    def probabilities(self, row_set: RowSet) -> NDArray[np.float64]:
        """Look up every row, by set and id, then by id alone."""
        found = [
            self.p_benefit.get((row_set.name, row.id), self.p_benefit.get((None, row.id)))
            for row in row_set.rows
        ]
        missing = [row.id for row, p in zip(row_set.rows, found, strict=True) if p is None]
        if missing:
            raise InvalidArgument(
                f"{self.name} lacks {len(missing)} of {len(found)} rows of {row_set.name}, first "
                f"{missing[0]}; add a line with _id and p_benefit for each"
            )
        return np.array(found, float)


@dataclass(frozen=True, slots=True)
class FittedGate(RowGate):
    """A fitted gate, with the models that its signals come from."""

    bundle: GateBundle
    source: SignalSource
    progress: Progress

    @property
    def extra_calls(self) -> tuple[int, int]:
        """A draft is read in a call of its own, and thrown away by retrieval, as a prefill is."""
        groups = self.bundle.groups
        reading = int(SignalGroup.DRAFT in groups)
        begun = int(bool({SignalGroup.DRAFT, SignalGroup.PREFILL} & set(groups)))
        return reading, reading + begun

    @property
    def inputs(self) -> dict[str, JSON]:
        """What identifies the gate, for the manifest, and the rows that it was fitted on."""
        return {**super(FittedGate, self).inputs, "fitted_on": dict(self.bundle.card["rows"])}

    def seen(self, row_sets: Sequence[RowSet]) -> tuple[str, ...]:
        """Names of the sets that the gate was fitted on, whose figures say little."""
        known = set(self.bundle.card["rows"].values())
        return tuple(row_set.name for row_set in row_sets if row_set.sha256 in known)

    def probabilities(self, row_set: RowSet) -> NDArray[np.float64]:
        """Measure the rows and ask the gate."""
        signals = self.source.measure(row_set, self.progress)
        return self.bundle.predictor.predict(signals).benefit


def load_gate(
    spec: str,
    row_sets: Sequence[RowSet],
    threshold: float | None = None,
    *,
    model: ModelConfig | None = None,
    work: Path | None = None,
    progress: Progress = silent,
) -> RowGate:
    """Open the gate that ``spec`` names, for these rows.

    :param threshold: None for the gate's own.
    :param model: precision and device of the models of a fitted gate.
    :param work: folder where it keeps what it measured; None for the usual one.
    :raises NotFound: neither a gate's name nor a file.
    :raises InvalidArgument: the rows were not recorded with this gate, or the file is damaged.
    """
    from expertrag_retriever.gate.constants import CONSTANTS

    if spec == CONSTANTS.name:
        return recorded_gate(row_sets, threshold, name=spec)
    path = models.gate_folder(spec)
    if path.is_dir():
        return _fitted_gate(path, threshold, model, work, progress)
    if not path.is_file():
        raise NotFound(
            f"gate: no gate or file {spec}; name {CONSTANTS.name}, a folder of 'expertrag gate "
            "fit', or a JSON-lines file with _id and p_benefit",
            reason="GATE_NOT_FOUND",
        )
    return _file_gate(path, row_sets, FILE_THRESHOLD if threshold is None else threshold)


def _fitted_gate(
    folder: Path,
    threshold: float | None,
    model: ModelConfig | None,
    work: Path | None,
    progress: Progress,
) -> FittedGate:
    from expertrag.config import ModelConfig
    from expertrag.eval.stores import default_work
    from expertrag.train.gate.source import source_of
    from expertrag_retriever.gate.bundle import load_gate as load_bundle

    with translated_errors():
        bundle = load_bundle(folder)
    return FittedGate(
        bundle.version,
        bundle.fingerprint,
        bundle.threshold if threshold is None else threshold,
        bundle,
        source_of(bundle, model or ModelConfig(), work or default_work()),
        progress,
    )


def recorded_gate(
    row_sets: Sequence[RowSet], threshold: float | None = None, *, name: str | None = None
) -> RecordedGate:
    """Return the gate that rows were recorded with.

    :param threshold: None for the recorded one.
    :param name: what the gate must be; None for any.
    :raises InvalidArgument: rows without signals, of different gates, or of different thresholds.
    """
    records: list[GateRecord] = []
    for row_set in row_sets:
        records += _records(row_set, name or (records[0].name if records else None))
    if not records:
        raise InvalidArgument("there are no rows to read a gate from")
    thresholds = sorted({record.threshold for record in records})
    if threshold is None and len(thresholds) > 1:
        raise InvalidArgument(
            f"the rows were recorded with thresholds from {thresholds[0]:g} to "
            f"{thresholds[-1]:g}; choose one with --threshold"
        )
    chosen = thresholds[0] if threshold is None else threshold
    return RecordedGate(records[0].name, records[0].name, chosen)


def _records(row_set: RowSet, name: str | None) -> list[GateRecord]:
    """Collect what the gate said of each row; all must be of one gate, called ``name``."""
    records = []
    for row in row_set.rows:
        if row.recorded is None:
            raise InvalidArgument(
                f"rows of {row_set.name} carry no gate signals; make rows with 'expertrag eval "
                "record DATASET --out ROWS'"
            )
        record = row.recorded.gate
        name = name or record.name
        if record.name != name:
            raise InvalidArgument(
                f"row {row.id} of {row_set.name} was recorded with gate {record.name}, not {name};"
                " make rows of one gate with 'expertrag eval record DATASET --out ROWS'"
            )
        records.append(record)
    return records


def _file_gate(path: Path, row_sets: Sequence[RowSet], threshold: float) -> FileGate:
    ids = Counter(row.id for row_set in row_sets for row in row_set.rows)
    items, digest = read_lines(path)
    p_benefit: dict[_Key, float] = {}
    for number, item in items:
        fault, key = _fault(item), (item.get("set"), str(item.get("_id")))
        if not fault and key in p_benefit:
            fault = "repeats an earlier line"
        elif not fault and key[0] is None and ids[key[1]] > 1:
            fault = f'has no "set", and {ids[key[1]]} files of rows hold its _id'
        if fault:
            raise InvalidArgument(f"{path} line {number} {fault}; mend it")
        p_benefit[key] = float(item["p_benefit"])
    return FileGate(path.name, digest, threshold, p_benefit)


def _fault(item: Mapping[str, Any]) -> str:
    """Say what is wrong with a line; empty when it is in order."""
    if not isinstance(item.get("_id"), str):
        return "has no _id"
    if not isinstance(item.get("set"), str | None):
        return "has a set that is no string"
    p = item.get("p_benefit")
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0.0 <= p <= 1.0:
        return "has no p_benefit between 0 and 1"
    return ""
