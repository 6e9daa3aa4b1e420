"""Runs the rows of a step on a decoder, and splits what it returns by sequence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from expertrag.llm.engine.sequences import Counters, SequenceState
from expertrag.llm.engine.step import Scheduled
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag_kernels.steps import SequenceRows, Steps

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PartOutput:
    """Logits (N, V) of the last rows of a part that reaches its sequence's end, and kept states."""

    part: Scheduled
    logits: torch.Tensor
    states: list[torch.Tensor]


class BatchRunner:
    """Runs batches on a decoder."""

    def __init__(
        self,
        decoder: Steps[Any, Any],
        expert_updates: Sequence[tuple[Any, ...]],
        counters: Counters,
        threads: int | None,
    ) -> None:
        self._decoder = decoder
        self._expert_updates = expert_updates
        self._counters = counters
        self._threads = threads
        self._preferred: set[ExpertPattern | None] = {None}

    def prefer_experts(self, sequences: Sequence[SequenceState]) -> None:
        """Have the experts in memory that open sequences may use; without one, keep the last ones.

        No expert is preferred while an open sequence may use all of them.
        """
        patterns = {sequence.policy.pattern for sequence in sequences if not sequence.closed}
        if not patterns or patterns == self._preferred:
            return
        self._preferred = patterns
        wanted = [] if None in patterns else [pattern.open for pattern in patterns if pattern]
        try:
            self._decoder.prefer_experts(wanted)
        except Exception as error:  # answers are the same without, only later
            _log.warning("experts could not be read ahead", exc_info=error)

    def run_guarded(
        self,
        parts: Sequence[Scheduled],
        fail: Callable[[SequenceState, BaseException], None],
    ) -> list[PartOutput]:
        """Run a step; if it fails, run each sequence alone.

        :param fail: ends a sequence that fails alone as well.
        """
        owners = list(dict.fromkeys(part.owner for part in parts))
        try:
            return self.run(parts)
        except BaseException as error:
            if len(owners) == 1:
                fail(owners[0], error)
                return []
            _log.warning("a step failed; its sequences run alone", exc_info=error)
        return [
            result
            for owner in owners
            for result in self.run_guarded([part for part in parts if part.owner is owner], fail)
        ]

    def run(self, parts: Sequence[Scheduled]) -> list[PartOutput]:
        """Run the rows of one step.

        :raises Exception: whatever the decoder raises; no part has changed.
        :raises RuntimeError: the decoder returned other rows than those that were wanted.
        """
        tokens: list[int] = []
        positions: list[int] = []
        logit_rows: list[int] = []
        state_rows: list[int] = []
        rows: list[SequenceRows] = []
        counts: list[tuple[int, int]] = []
        for part in parts:
            first = len(tokens)
            tokens += part.sequence.tokens[part.start : part.stop] + part.drafts
            positions += range(part.start, part.start + part.rows)
            rows.append(self._rows_of(part.sequence, first, len(tokens)))
            count, watched = _count_outputs(part)
            counts.append((count, watched))
            logit_rows += range(len(tokens) - count, len(tokens))
            state_rows += range(len(tokens) - watched, len(tokens))
        before = self._decoder.expert_reads
        logits, states = self._decoder.run(
            torch.tensor(tokens),
            torch.tensor(positions),
            rows,
            torch.tensor(logit_rows, dtype=torch.long),
            torch.tensor(state_rows, dtype=torch.long),
            threads=self._threads,
        )
        if len(logits) != len(logit_rows) or any(len(kept) != len(state_rows) for kept in states):
            raise RuntimeError("the decoder returned other rows than those that were wanted")
        self._count(parts, len(tokens))
        if before is not None and (after := self._decoder.expert_reads):
            for part in parts:  # each has waited for all of it
                part.sequence.expert_reads += after - before
        return list(_split(parts, counts, logits, states))

    def _rows_of(self, sequence: SequenceState, start: int, stop: int) -> SequenceRows:
        policy = sequence.policy
        expert, updates = policy.expert, (policy.adapter.updates,) if policy.adapter else ()
        if self._expert_updates:
            if expert >= 0:
                updates = (*self._expert_updates[expert], *updates)
            expert = -1
        open_experts = policy.pattern.open if policy.pattern else None
        pages = torch.tensor(sequence.pages)
        return SequenceRows(start, stop, pages, expert, policy.routing, updates, open_experts)

    def _count(self, parts: Sequence[Scheduled], rows: int) -> None:
        self._counters.steps += 1
        self._counters.rows += rows
        for part in parts:
            if part.stop - part.start > 1 or not part.sequence.generated:
                self._counters.prefill_tokens += part.stop - part.start


def _count_outputs(part: Scheduled) -> tuple[int, int]:
    """How many of a part's last rows have logits, and how many states that are returned."""
    if not part.last:
        return 0, 0
    return max(part.sequence.logit_rows, 1 + len(part.drafts)), part.sequence.state_rows


def _split(
    parts: Sequence[Scheduled],
    counts: Sequence[tuple[int, int]],
    logits: torch.Tensor,
    states: list[torch.Tensor],
) -> Iterator[PartOutput]:
    row = kept = 0
    for part, (count, watched) in zip(parts, counts, strict=True):
        own = [values[kept : kept + watched] for values in states]
        yield PartOutput(part, logits[row : row + count], own)
        row, kept = row + count, kept + watched
