"""What the next step of an engine runs.

A step has the rows of sequences in decode first, with draft tokens (prompt_lookup.py), and fills up
with chunks of prompts in order of arrival (chunked prefill). Sequences that do not fit into the KV
cache wait. When a sequence in decode needs a page and none is free, the one that arrived last is
preempted, and recomputed later (page_tables.py).

In contrastive decoding, a sequence has a weak side, whose rows run beside its own. Both are
prefilled first; then each step has the last token of both, with the same draft tokens.

Each sequence is scheduled under a guard: one that fails is left out, and the others run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.engine.page_tables import PageTables
from expertrag.llm.engine.sequences import Counters, SequenceState, WeakSequence
from expertrag_kernels.steps import MOST_ROWS, Steps

_DRAFT_ROWS = 16  # of a step; more draft tokens cost as much as they save
_MOST_DRAFT_TOKENS = 6  # of a sequence


@dataclass(slots=True)
class Scheduled:
    """The rows of one sequence in a step: some of its tokens, and draft tokens after them.

    ``owner``: the sequence whose caller waits for these rows; of a weak side, the strong side.
    """

    sequence: SequenceState
    start: int
    stop: int
    drafts: list[int]
    owner: SequenceState

    @property
    def rows(self) -> int:
        """How many rows these are."""
        return self.stop - self.start + len(self.drafts)

    @property
    def last(self) -> bool:
        """Whether the sequence ends here, so that its next token can be sampled."""
        return self.stop == len(self.sequence.tokens)


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

    @property
    def pages(self) -> PagePool:
        """The pages of the KV cache."""
        return self.tables.pool

    def reset(self) -> None:
        """Forget all sequences and pages, whose state may be inconsistent after an error."""
        self.sequences.clear()
        self.failed.clear()
        self.tables.reset()

    def next_step(self) -> list[Scheduled]:
        """Schedule the rows of the next step; see ``failed``."""
        self._remove_closed()
        decoding, prefilling = self._runnable()
        most_drafts = self._most_draft_tokens(len(decoding))
        parts: list[Scheduled] = []
        left = self._decoder.step_rows
        for sequence in (*decoding, *prefilling):
            with self._guard(sequence):
                if sequence in prefilling[:1] and sequence.tail > self._decoder.step_rows:
                    # its last rows run together: they would never fit
                    left = min(sequence.tail, MOST_ROWS - sum(part.rows for part in parts))
                if left <= 0:
                    break
                scheduled = [part.sequence for part in parts]
                added = self._parts_of(sequence, left, most_drafts, scheduled)
                parts += added
                left -= sum(part.rows for part in added)
        return parts

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
                if sequence.runnable:
                    (decoding if sequence.decoding else prefilling).append(sequence)
        return decoding, prefilling

    def repair(self) -> list[str]:
        """Give back the pages that no sequence has, after one has failed.

        :returns: what is inconsistent still, in words.
        """
        if list(self.differences()):
            self.tables.repair()
        return list(self.differences())

    def _parts_of(
        self,
        sequence: SequenceState,
        most: int,
        most_drafts: int,
        scheduled: Sequence[SequenceState],
    ) -> list[Scheduled]:
        """Schedule some rows of a sequence, and of its weak side if it has one."""
        if sequence.weak is not None:
            return self._rows_of_both(sequence, sequence.weak, most, most_drafts, scheduled)
        part = self._rows_of(sequence, most, most_drafts, scheduled)
        return [part] if part else []

    def _rows_of_both(
        self,
        strong: SequenceState,
        weak: WeakSequence,
        most: int,
        most_drafts: int,
        scheduled: Sequence[SequenceState],
    ) -> list[Scheduled]:
        """Schedule some rows of a sequence and its weak side: of one, until both can sample."""
        if not strong.pages:
            self.tables.find_prefix(strong)
        if strong.computed < len(strong.tokens) - strong.tail:
            end = len(strong.tokens) - strong.tail
            return self._prefill(strong, strong, min(end, strong.computed + most), scheduled)
        if not weak.pages:
            if not weak.shared_tokens:
                self.tables.find_prefix(weak)
            elif not self.tables.share_prompt(strong, weak, scheduled):
                return []
        if weak.computed < len(weak.tokens) - 1:
            end = min(len(weak.tokens) - 1, weak.computed + most)
            return self._prefill(weak, strong, end, [*scheduled, strong])
        if most < strong.tail + 1:
            return []
        self.tables.release_passed(weak)
        room = min(most_drafts, (most - strong.tail - 1) // 2)
        part = self._rows_of(strong, strong.tail + room, most_drafts, scheduled)
        start, end = weak.computed, len(weak.tokens)
        if part is None:
            return []
        if not self.tables.extend(weak, end + len(part.drafts), [*scheduled, strong]):
            return []
        return [Scheduled(weak, start, end, part.drafts, strong), part]

    def _prefill(
        self,
        sequence: SequenceState,
        owner: SequenceState,
        stop: int,
        scheduled: Sequence[SequenceState],
    ) -> list[Scheduled]:
        """Schedule rows that sample nothing, up to a token; none if no page is free."""
        self.tables.release_passed(sequence)
        if not self.tables.extend(sequence, stop, scheduled):
            return []
        return [Scheduled(sequence, sequence.computed, stop, [], owner)]

    def _rows_of(
        self,
        sequence: SequenceState,
        most: int,
        most_drafts: int,
        scheduled: Sequence[SequenceState],
    ) -> Scheduled | None:
        """Schedule some rows of a sequence, with pages for them; None if no page is free."""
        if not sequence.pages:
            self.tables.find_prefix(sequence)
        self.tables.release_passed(sequence)
        start, end = sequence.computed, len(sequence.tokens)
        stop = min(end, start + most)
        if stop < end and end - stop < sequence.tail:
            stop = end - sequence.tail
        if stop <= start:
            return None
        drafts: list[int] = []
        if stop == end and end - start == 1 and not sequence.logit_rows:
            room = min(most_drafts, most - 1, sequence.token_budget - sequence.generated - 1)
            drafts = sequence.draft(room) if room > 0 else []
        if not self.tables.extend(sequence, stop + len(drafts), scheduled):
            return None
        return Scheduled(sequence, start, stop, drafts, sequence)

    def _most_draft_tokens(self, decoding: int) -> int:
        if not self._speculate or not decoding:
            return 0
        return min(_MOST_DRAFT_TOKENS, max(0, _DRAFT_ROWS // decoding - 1))

    def differences(self) -> Iterator[str]:
        """Yield what is inconsistent, in words; for engines between two steps."""
        yield from self.tables.differences()
        yield from self.counters.differences()
        for sequence in self.sequences:
            if sequence.closed:
                yield "a closed sequence is still scheduled"
