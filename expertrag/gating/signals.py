"""The signals of counterfactual rows: as they were recorded, or measured now.

Question and draft (the row's closed-book answer) are embedded by the base embedder; the draft is
read by a language model, which need not be the one that wrote it. Store and prefill are signals of
a running system and so are there only in rows of ``expertrag eval record``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from expertrag import prompt
from expertrag.errors import InvalidArgument
from expertrag.generation.transformers_backend import TransformersGenerator
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.bundle import Needs
from expertrag_retriever.gate.signals import SignalGroup, Signals, measured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from expertrag.eval.types import Row, RowSet
    from expertrag.generation.base import Generator
    from expertrag_index.types import FloatArray, Progress
    from expertrag_retriever.encoder import SentenceTransformerEmbedder

RECORDED = (SignalGroup.STORE, SignalGroup.PREFILL)
"""Groups that only a running system can measure."""


@dataclass(frozen=True, slots=True)
class SignalSource:
    """Measures the signals of rows, and keeps them in a folder for the next time."""

    groups: tuple[SignalGroup, ...]
    embedder: SentenceTransformerEmbedder
    generator: Generator | None
    """What reads drafts; None where the groups have none."""
    work: Path

    @property
    def needs(self) -> Needs:
        """What the signals come from."""
        reader = self.generator if set(self.groups) - {SignalGroup.QUESTION} else None
        return Needs(
            embedder=self.embedder.name,
            embedder_fingerprint=self.embedder.fingerprint_of_expert(GENERAL),
            generator=reader.name if reader else None,
            generator_fingerprint=reader.fingerprint if reader else None,
        )

    def measure(self, row_set: RowSet, progress: Progress) -> list[Signals]:
        """Measure every row, in order.

        :raises InvalidArgument: recorded signals are asked for that the rows do not have, or a
            draft is to be read by a model that gives no probabilities.
        """
        recorded = [_recorded(row, row_set.name, self.groups) for row in row_set.rows]
        questions = self._embedded([row.question for row in row_set.rows], progress)
        if SignalGroup.DRAFT not in self.groups:
            return [
                measured(row.question, vector, extra=extra)
                for row, vector, extra in zip(row_set.rows, questions, recorded, strict=True)
            ]
        drafts = self._embedded([row.never for row in row_set.rows], progress)
        readings = self._read(row_set, progress)
        return [
            _with_vectors(
                measured(
                    row.question,
                    questions[place],
                    draft=row.never,
                    draft_embedding=drafts[place],
                    extra=recorded[place] | _likelihood(readings["lines"][place]),
                ),
                draft_middle=readings["middle"][place],
                draft_upper=readings["upper"][place],
            )
            for place, row in enumerate(row_set.rows)
        ]

    def _embedded(self, texts: Sequence[str], progress: Progress) -> FloatArray:
        """Embed texts by the base model, [N, D]."""
        progress("embedding", 0, len(texts))
        found = self.embedder.encode_queries_by_experts([text or " " for text in texts], [GENERAL])
        progress("embedding", len(texts), len(texts))
        return found[:, 0]

    def _read(self, row_set: RowSet, progress: Progress) -> Mapping[str, np.ndarray]:
        """Read the drafts, or find what was read of them before.

        ``lines`` [N, 3] (mean, least and first log probability), ``middle`` and ``upper`` [N, D].
        """
        reader = self.generator
        if not isinstance(reader, TransformersGenerator):
            raise InvalidArgument(
                "reading drafts needs a model that runs in this process; name a package model, a "
                "folder or a hub id with --generator, or leave the signals of 'draft' out"
            )
        key = hashlib.sha256(f"1 {row_set.sha256} {reader.fingerprint}".encode()).hexdigest()[:16]
        file = self.work / "drafts" / f"{row_set.name}-{key}.npz"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            found = _read_all(reader, row_set.rows, f"{row_set.name}: reading drafts", progress)
            partial = file.with_suffix(".partial")
            with partial.open("wb") as out:
                np.savez(out, lines=found["lines"], middle=found["middle"], upper=found["upper"])
            partial.replace(file)
        with np.load(file) as kept:
            return {name: kept[name] for name in kept.files}


def _read_all(
    reader: TransformersGenerator, rows: Sequence[Row], stage: str, progress: Progress
) -> dict[str, np.ndarray]:
    items = [(prompt.closed_book(row.question), row.never) for row in rows]
    lines = np.zeros((len(rows), 3), np.float32)
    middle: list[FloatArray] = [np.empty(0, np.float32)] * len(rows)
    upper = list(middle)
    progress(stage, 0, len(rows))
    for done, (place, reading) in enumerate(reader.read(items), start=1):
        likely = reading.log_probabilities
        lines[place] = likely.mean(), likely.min(), likely[0]
        middle[place], upper[place] = reading.middle, reading.upper
        progress(stage, done, len(rows))
    return {"lines": lines, "middle": np.stack(middle), "upper": np.stack(upper)}


def _likelihood(line: np.ndarray) -> dict[str, float]:
    names = ("draft_log_probability", "draft_least_log_probability", "draft_first_log_probability")
    return dict(zip(names, map(float, line), strict=True))


def _with_vectors(signals: Signals, **vectors: FloatArray) -> Signals:
    return Signals(signals.numbers, {**signals.vectors, **vectors})


def _recorded(row: Row, name: str, groups: Sequence[SignalGroup]) -> dict[str, float]:
    """Return the recorded signals of a row, if they are asked for."""
    wanted = [group for group in RECORDED if group in groups]
    if not wanted:
        return {}
    if row.recorded is None:
        raise InvalidArgument(
            f"rows of {name} carry no signals of {' and '.join(wanted)}; make rows with 'expertrag "
            "eval record DATASET --out ROWS', or choose --signals question,draft"
        )
    return dict(row.recorded.gate.signals)
