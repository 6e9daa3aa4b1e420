"""Signals of counterfactual rows, recorded or computed.

Question and draft (the row's closed-book answer) are embedded by the base embedder. The draft is
also read by a language model, not necessarily the one that wrote it. Store and prefill signals come
from a running system, so only rows of ``expertrag eval record`` have them. Their numbers are taken
from the record, the vectors of the prefill are computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expertrag.answer.drafts import LIKELIHOODS, STATES, likelihoods, truncate_draft
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Sampling
from expertrag.llm import prompt
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.bundle import Needs
from expertrag_retriever.gate.domains import domain_probabilities, domain_signals
from expertrag_retriever.gate.signals import (
    Draft,
    SignalGroup,
    Signals,
    collect_signals,
    group_of,
    store_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from expertrag.llm.base import Generator, WhiteBox
    from expertrag_index.types import FloatArray, Progress
    from expertrag_lab.data.types import Row, RowSet
    from expertrag_retriever.base import Embedder

RECORDED = (SignalGroup.STORE, SignalGroup.PREFILL)
"""Signal groups that only a running system can compute."""

_WITHOUT_MODEL = {SignalGroup.QUESTION, SignalGroup.DOMAIN}


@dataclass(frozen=True, slots=True)
class SignalSource:
    """Computes the signals of rows, and caches them in the folder ``work``."""

    groups: tuple[SignalGroup, ...]
    embedder: Embedder
    generator: Generator | None
    """Reads drafts and computes prefill signals; None if the groups contain neither."""
    work: Path

    @property
    def needs(self) -> Needs:
        """The models that the signals come from."""
        reader = self.generator if set(self.groups) - _WITHOUT_MODEL else None
        return Needs(
            embedder=self.embedder.name,
            embedder_fingerprint=self.embedder.fingerprint_of_expert(GENERAL),
            generator=reader.name if reader else None,
            generator_fingerprint=reader.fingerprint if reader else None,
            router=self.embedder.fingerprint if SignalGroup.DOMAIN in self.groups else None,
        )

    def measure(self, row_set: RowSet, progress: Progress) -> list[Signals]:
        """Compute the signals of every row, in order.

        :raises InvalidArgument: the rows lack recorded signals that a group needs, or the model
            that should read drafts gives no probabilities.
        :raises Conflict: the rows were recorded with another language model or embedder.
        """
        recorded = [self._read_recorded(row, row_set.name) for row in row_set.rows]
        asked = [row.question for row in row_set.rows]
        questions = self._embed(asked, progress)
        domains: Sequence[dict[str, float]] = [{}] * len(asked)
        if SignalGroup.DOMAIN in self.groups:
            domains = list(map(domain_signals, domain_probabilities(self.embedder, asked)))
        seen = self._prefills(row_set, progress) if SignalGroup.PREFILL in self.groups else {}
        drafts: Sequence[Draft | None] = [None] * len(row_set.rows)
        if SignalGroup.DRAFT in self.groups:
            drafts = self._drafts(row_set, progress)
        return [
            collect_signals(
                row.question,
                vector,
                draft=draft,
                extra=Signals(
                    {**numbers, **domain}, {name: rows[place] for name, rows in seen.items()}
                ),
            )
            for place, (row, vector, draft, numbers, domain) in enumerate(
                zip(row_set.rows, questions, drafts, recorded, domains, strict=True)
            )
        ]

    def _read_recorded(self, row: Row, name: str) -> dict[str, float]:
        """Return the recorded signals of a row that the groups need."""
        wanted = [group for group in RECORDED if group in self.groups]
        if not wanted:
            return {}
        if row.recorded is None:
            raise InvalidArgument(
                f"rows of {name} have no {' and '.join(wanted)} signals; make rows with "
                "'expertrag eval record DATASET --out ROWS', or use --signals question,draft"
            )
        gate = row.recorded.gate
        generator = self.generator.fingerprint if self.generator else ""
        embedder = self.embedder.fingerprint_of_expert(GENERAL)
        for kind, option, theirs, mine in (
            ("language model", "--generator", gate.generator, generator),
            ("embedder", "--embedder, or their store with --index", gate.embedder, embedder),
        ):
            if theirs and mine and theirs != mine:
                raise Conflict(
                    f"rows of {name} were recorded with another {kind} ({theirs[:8]}, not "
                    f"{mine[:8]}); name that one with {option}"
                )
        recorded = gate.signals
        numbers = {name: value for name, value in recorded.items() if group_of(name) in wanted}
        if SignalGroup.STORE in wanted and "p_documents" in recorded:
            numbers |= store_numbers(recorded["p_documents"])
        return numbers

    def _prefills(self, row_set: RowSet, progress: Progress) -> Mapping[str, np.ndarray]:
        """Vectors [N, D] of the prefill by name; they depend on question and model alone.

        Empty for a model that exposes only probabilities.
        """
        generator = self.generator
        if generator is None or generator.white_box is None:
            return {}
        questions = [row.question for row in row_set.rows]
        return self._load_or_make(
            "prefills",
            row_set,
            (generator.fingerprint, questions),
            lambda: _prefill_all(generator, questions, f"{row_set.name}: prefills", progress),
        )

    def _drafts(self, row_set: RowSet, progress: Progress) -> list[Draft]:
        texts = [truncate_draft(row.never) for row in row_set.rows]
        vectors = self._embed(texts, progress)
        readings = self._readings(row_set, progress)
        return [
            Draft(
                text,
                vectors[place],
                dict(zip(LIKELIHOODS, map(float, readings["lines"][place]), strict=True)),
                {name: readings[name][place] for name in STATES},
            )
            for place, text in enumerate(texts)
        ]

    def _embed(self, texts: Sequence[str], progress: Progress) -> FloatArray:
        """Embed texts with the base model, [N, D]."""
        progress("embedding", 0, len(texts))
        vectors = self.embedder.encode_queries_by_experts(
            [text or " " for text in texts], [GENERAL]
        )
        progress("embedding", len(texts), len(texts))
        return vectors[:, 0]

    def _readings(self, row_set: RowSet, progress: Progress) -> Mapping[str, np.ndarray]:
        """Read the drafts with the language model, or load the cached result.

        ``lines`` [N, 3] are the ``LIKELIHOODS``; the ``STATES`` are [N, D].
        """
        reader = self.generator.white_box if self.generator else None
        if reader is None:
            raise InvalidArgument(
                "reading drafts needs a model that runs in this process; pass a package model, a "
                "folder or a hub id with --generator, or leave 'draft' out of --signals"
            )
        asked = [(row.question, truncate_draft(row.never)) for row in row_set.rows]
        return self._load_or_make(
            "drafts",
            row_set,
            (reader.fingerprint, asked),
            lambda: _read_all(reader, asked, f"{row_set.name}: reading drafts", progress),
        )

    def _load_or_make(
        self,
        kind: str,
        row_set: RowSet,
        inputs: tuple[object, ...],
        make: Callable[[], Mapping[str, np.ndarray]],
    ) -> Mapping[str, np.ndarray]:
        """Return the cached result for these inputs, or compute and cache it."""
        key = hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]
        file = self.work / kind / f"{row_set.name}-{key}.npz"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            result = make()
            partial = file.with_suffix(".partial")
            with partial.open("wb") as out:
                save: Any = np.savez  # its annotation does not allow named arrays
                save(out, **result)
            partial.replace(file)
        with np.load(file) as kept:
            return {name: kept[name] for name in kept.files}


def _prefill_all(
    generator: Generator, questions: Sequence[str], stage: str, progress: Progress
) -> dict[str, np.ndarray]:
    """Prefill one question at a time, as in serving."""
    results: list[Mapping[str, FloatArray]] = []
    progress(stage, 0, len(questions))
    for question in questions:
        session = generator.begin(prompt.write_closed_book(question), Sampling(max_tokens=1))
        signals = session.peek(1)
        session.close()
        assert signals is not None, "a model in this process gives probabilities"
        results.append(signals.vectors)
        progress(stage, len(results), len(questions))
    return {name: np.stack([vectors[name] for vectors in results]) for name in results[0]}


def _read_all(
    reader: WhiteBox, asked: Sequence[tuple[str, str]], stage: str, progress: Progress
) -> dict[str, np.ndarray]:
    items = [(prompt.write_closed_book(question), draft) for question, draft in asked]
    lines = np.zeros((len(items), len(LIKELIHOODS)), np.float32)
    middle: list[FloatArray] = [np.empty(0, np.float32)] * len(items)
    upper = list(middle)
    progress(stage, 0, len(items))
    for done, (place, reading) in enumerate(reader.read(items), start=1):
        lines[place] = likelihoods(reading)
        middle[place], upper[place] = reading.middle, reading.upper
        progress(stage, done, len(items))
    return {"lines": lines, **dict(zip(STATES, map(np.stack, (middle, upper)), strict=True))}
