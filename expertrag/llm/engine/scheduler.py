"""What the next step of an engine runs.

A step has the rows of sequences in decode first (decode.py), with draft tokens (drafts.py). It
fills up with chunks of prompts in order of arrival (prefill.py). Sequences that do not fit into the
KV cache wait. When a sequence needs a page and none is free, another sequence is preempted, and
recomputed later. That is one that cannot run, else the last arrival (step.py). A sequence with a
weak side has rows of both (pairs.py).

Each sequence is scheduled under a guard: one that fails is left out, and the others run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from expertrag.llm.engine import decode, pairs, prefill
from expertrag.llm.engine.drafts import draft_limit
from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.engine.page_tables import PageTables
from expertrag.llm.engine.sequences import Counters, SequenceState, Status
from expertrag.llm.engine.step import NextStep, Scheduled
from expertrag_kernels.steps import MOST_ROWS, Steps

_LOGGED_DIFFERENCES = 5  # one lost page is enough to look for its cause

_log = logging.getLogger(__name__)


class Scheduler:
    """The sequences of an engine, in order of arrival, and their pages. Not thread-safe."""

    def __init__(
        self,
        decoder: Steps[Any, Any],
        kept_bytes: int | None,
        *,
        speculate: bool,
        prefix_caching: bool,
    ) -> None:
        """Start without sequences.

        :param kept_bytes: size of the keys and values that stay cached when no sequence holds them;
            None for all.
        """
        self.counters = Counters()
        self.sequences: list[SequenceState] = []
        self.resets_cache = False
        """Whether to forget the prefixes of closed sequences before the next step."""
        self.failed: list[tuple[SequenceState, BaseException]] = []
        """The sequences that could not be scheduled, and why; the engine ends them."""
        self.tables = PageTables(
            decoder, kept_bytes, self.counters, self.sequences, prefix_caching=prefix_caching
        )
        self._decoder = decoder
        self._speculate = speculate
        self._checked_steps = 0  # when the engine was last checked while idle

    @property
    def pages(self) -> PagePool:
        """The pages of the KV cache."""
        return self.tables.pool

    def schedule(self) -> list[Scheduled]:
        """Schedule the rows of the next step; see ``failed``."""
        self._remove_closed()
        decoding, prefilling = self._runnable()
        limit = draft_limit(len(decoding)) if self._speculate else 0
        step_rows = self._decoder.step_rows
        step = NextStep(self.sequences, self.tables, step_rows, limit)
        for sequence in (*decoding, *prefilling):
            with self._guard(sequence):
                if sequence in prefilling[:1] and sequence.tail > step_rows:
                    # its last rows run together: they would never fit
                    step.rows_left = min(sequence.tail, step.rows_left + MOST_ROWS - step_rows)
                if step.rows_left <= 0:
                    break
                step.add(self._schedule(step, sequence))
        return step.parts

    def _schedule(self, step: NextStep, sequence: SequenceState) -> list[Scheduled]:
        """Schedule some rows of a sequence, and of its weak side if it has one."""
        if sequence.weak is not None:
            return pairs.schedule(step, sequence, sequence.weak)
        self.tables.open(sequence)
        if sequence.tokens_to_compute == 1:  # a sequence in prefill may find all others cached
            return decode.schedule(step, sequence, step.rows_left)
        return prefill.schedule(step, sequence)

    def advance(self, part: Scheduled) -> None:
        """Count the tokens of a part that has run as computed; others may share its full pages."""
        sequence = part.sequence
        sequence.computed = part.stop
        if part.last:
            sequence.logit_rows = sequence.state_rows = 0
        self.tables.register(sequence)

    def reset(self) -> None:
        """Forget all sequences and pages, whose state may be inconsistent after an error."""
        self.sequences.clear()
        self.failed.clear()
        self.tables.reset()

    def repair(self) -> None:
        """Give back the pages that no sequence has, after one has failed.

        :raises RuntimeError: something else is inconsistent.
        """
        if list(self.differences()):
            self.tables.repair()
        if differences := list(self.differences()):
            raise RuntimeError(f"a failed sequence left: {'; '.join(differences)}")

    def check_idle(self) -> None:
        """Log what is inconsistent after the last sequence has left; once for the same steps."""
        if self.sequences or self._checked_steps == self.counters.steps:
            return
        self._checked_steps = self.counters.steps
        if differences := list(self.differences()):
            text = "; ".join(differences[:_LOGGED_DIFFERENCES])
            _log.error("internal error: the idle engine has lost track of pages: %s", text)

    def differences(self) -> Iterator[str]:
        """Yield what is inconsistent, in words; for engines between two steps."""
        yield from self.tables.differences()
        yield from self.counters.differences()
        for sequence in self.sequences:
            if sequence.closed:
                yield "a closed sequence is still scheduled"

    @contextmanager
    def _guard(self, sequence: SequenceState) -> Iterator[None]:
        """Let a sequence fail alone."""
        try:
            yield
        except BaseException as error:  # a Rust library's panic is not an Exception
            self.failed.append((sequence, error))

    def _remove_closed(self) -> None:
        for sequence in [sequence for sequence in self.sequences if sequence.closed]:
            self.sequences.remove(sequence)
            with self._guard(sequence):
                self.tables.free(sequence)
                self.pages.trim()
        if self.resets_cache:
            self.resets_cache = False
            self.pages.reset()

    def _runnable(self) -> tuple[list[SequenceState], list[SequenceState]]:
        """Return the sequences in decode, and those in prefill."""
        decoding: list[SequenceState] = []
        prefilling: list[SequenceState] = []
        for sequence in self.sequences:
            with self._guard(sequence):
                status = sequence.status
                if status is Status.DECODING:
                    decoding.append(sequence)
                elif status is Status.PREFILLING:
                    prefilling.append(sequence)
        return decoding, prefilling
