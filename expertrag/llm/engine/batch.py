"""Runs the rows of a step on a decoder, and hands each sequence its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from expertrag.llm.engine.sequences import Counters, SequenceState
from expertrag.llm.engine.step import Scheduled
from expertrag_kernels.steps import SequenceRows, Steps


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
