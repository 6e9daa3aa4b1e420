"""Gates whose decisions can be replayed on counterfactual rows.

A gate is given in one of three ways. ``training-free-3`` is the service's built-in gate, whose
p(benefit) ``expertrag eval record`` writes into the rows. The folder of a fitted gate
(``expertrag train gate``) is run on the rows. The third is a JSON-lines file
``{"_id", "p_benefit"}``, for the scores of any other gate. A line of the file may give its
``"set"``, the name of a file of rows. It must do so if several of these files contain the id.
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
from expertrag.config import Config
from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.types import silent
from expertrag_lab.data.types import JSON, GateRecord, RowSet
from expertrag_lab.json_lines import read_lines
from expertrag_retriever.gate.signals import SignalGroup

if TYPE_CHECKING:
    from expertrag_index.types import Progress
    from expertrag_lab.train.gate.signals import SignalSource
    from expertrag_retriever.gate.bundle import GateBundle

FILE_THRESHOLD = 0.5
"""Threshold of a file of probabilities: retrieve if it is more likely to help than not."""

_Key = tuple[str | None, str]
"""Set (None for any) and id of a row."""


@dataclass(frozen=True, slots=True)
class RowGate(ABC):
    """Gives every row the probability that retrieval turns a wrong answer into a right one.

    It retrieves if p(benefit) >= ``threshold``. ``fingerprint`` covers everything that the
    probabilities depend on, except the rows.
    """

    name: str
    fingerprint: str
    threshold: float
    recorded: ClassVar[bool] = False
    """Whether the gate costs recorded in the rows are this gate's."""

    @property
    def extra_calls(self) -> tuple[int, int]:
        """Extra LM calls of deciding: for a closed-book answer, and for one with retrieval.

        Calls recorded in the rows are not included.
        """
        return 0, 0

    @property
    def inputs(self) -> dict[str, JSON]:
        """Identification of the gate, for the manifest."""
        return {"name": self.name, "fingerprint": self.fingerprint, "threshold": self.threshold}

    @abstractmethod
    def probabilities(self, row_set: RowSet) -> NDArray[np.float64]:
        """Return p(benefit) of every row, shape [N].

        :raises InvalidArgument: the gate has no value for a row.
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
        """Look up every row by set and id, then by id alone."""
        values = [
            self.p_benefit.get((row_set.name, row.id), self.p_benefit.get((None, row.id)))
            for row in row_set.rows
        ]
        missing = [row.id for row, p in zip(row_set.rows, values, strict=True) if p is None]
        if missing:
            raise InvalidArgument(
                f"{self.name} lacks {len(missing)} of {len(values)} rows of {row_set.name}, the "
                f"first is {missing[0]}; add a line with _id and p_benefit for each"
            )
        return np.array(values, float)


@dataclass(frozen=True, slots=True)
class FittedGate(RowGate):
    """A fitted gate, with the models that its signals come from."""

    bundle: GateBundle
    source: SignalSource
    progress: Progress

    @property
    def extra_calls(self) -> tuple[int, int]:
        """Reading a draft is one call; a draft or prefill that retrieval discards is another."""
        groups = self.bundle.groups
        reading = int(SignalGroup.DRAFT in groups)
        begun = int(bool({SignalGroup.DRAFT, SignalGroup.PREFILL} & set(groups)))
        return reading, reading + begun

    @property
    def inputs(self) -> dict[str, JSON]:
        """Identification of the gate and of the rows that it was fitted on, for the manifest."""
        return {**super(FittedGate, self).inputs, "fitted_on": dict(self.bundle.card["rows"])}

    def name_training_sets(self, row_sets: Sequence[RowSet]) -> tuple[str, ...]:
        """Names of the sets that the gate was fitted on; their figures are too optimistic."""
        known = set(self.bundle.card["rows"].values())
        return tuple(row_set.name for row_set in row_sets if row_set.sha256 in known)

    def probabilities(self, row_set: RowSet) -> NDArray[np.float64]:
        """Compute the signals of the rows and run the gate."""
        signals = self.source.measure(row_set, self.progress)
        return self.bundle.predictor.predict(signals).benefit


def load_gate(
    spec: str,
    row_sets: Sequence[RowSet],
    threshold: float | None = None,
    *,
    config: Config | None = None,
    work: Path | None = None,
    progress: Progress = silent,
) -> RowGate:
    """Open the gate that ``spec`` names, for these rows.

    :param threshold: None for the gate's own.
    :param config: how the models of a fitted gate run: their precision and device.
    :param work: folder where a fitted gate caches signals; None for the default.
    :raises NotFound: ``spec`` is neither the name of a gate nor a file.
    :raises InvalidArgument: the rows were not recorded with this gate, or the file is damaged.
    """
    from expertrag_retriever.gate.constants import CONSTANTS

    if spec == CONSTANTS.name:
        return load_recorded_gate(row_sets, threshold, name=spec)
    path = models.gate_folder(spec)
    if path.is_dir():
        return _open_fitted_gate(path, threshold, config or Config(), work, progress)
    if not path.is_file():
        raise NotFound(
            f"gate: no gate or file {spec}; name {CONSTANTS.name}, a folder of 'expertrag train "
            "gate', or a JSON-lines file with _id and p_benefit",
            reason="GATE_NOT_FOUND",
        )
    return _file_gate(path, row_sets, FILE_THRESHOLD if threshold is None else threshold)


def _open_fitted_gate(
    folder: Path,
    threshold: float | None,
    config: Config,
    work: Path | None,
    progress: Progress,
) -> FittedGate:
    from expertrag_lab.eval.stores import default_work
    from expertrag_lab.train.gate.source import source_of
    from expertrag_retriever.gate.bundle import load_gate as load_bundle

    with translate_errors():
        bundle = load_bundle(folder)
    return FittedGate(
        bundle.version,
        bundle.fingerprint,
        bundle.threshold if threshold is None else threshold,
        bundle,
        source_of(bundle, config.model, work or default_work(), lab=config.lab),
        progress,
    )


def load_recorded_gate(
    row_sets: Sequence[RowSet], threshold: float | None = None, *, name: str | None = None
) -> RecordedGate:
    """Return the gate that rows were recorded with.

    :param threshold: None for the recorded one.
    :param name: required name of the gate; None for any.
    :raises InvalidArgument: the rows have no signals, different gates, or different thresholds.
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
    """Return the gate record of each row; all must be of the gate ``name``."""
    records = []
    for row in row_set.rows:
        if row.recorded is None:
            raise InvalidArgument(
                f"rows of {row_set.name} have no gate signals; make rows with 'expertrag eval "
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
            fault = f'has no "set", and {ids[key[1]]} files of rows contain its _id'
        if fault:
            raise InvalidArgument(f"{path} line {number} {fault}; fix it")
        p_benefit[key] = float(item["p_benefit"])
    return FileGate(path.name, digest, threshold, p_benefit)


def _fault(item: Mapping[str, Any]) -> str:
    """Return what is wrong with a line; empty if it is valid."""
    if not isinstance(item.get("_id"), str):
        return "has no _id"
    if not isinstance(item.get("set"), str | None):
        return "has a set that is not a string"
    p = item.get("p_benefit")
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0.0 <= p <= 1.0:
        return "has no p_benefit between 0 and 1"
    return ""
