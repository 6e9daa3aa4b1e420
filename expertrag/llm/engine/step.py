"""A step of an engine while it is scheduled: its rows so far, and the pages that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expertrag.llm.engine.page_tables import PageTables
from expertrag.llm.engine.sequences import SequenceState, WeakSequence


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


class NextStep:
    """The rows of the next step, and their pages; later sequences are preempted for them.

    A sequence with rows in the step keeps its pages.
    """

    def __init__(
        self, sequences: Sequence[SequenceState], tables: PageTables, rows: int, draft_limit: int
    ) -> None:
        """Start without rows.

        :param sequences: all open ones, in order of arrival.
        :param draft_limit: see :func:`expertrag.llm.engine.drafts.draft_limit`.
        """
        self.tables = tables
        self.draft_limit = draft_limit
        self.parts: list[Scheduled] = []
        self.rows_left = rows
        self._sequences = sequences

    def add(self, parts: Sequence[Scheduled]) -> None:
        """Add the rows of a sequence, and of its weak side."""
        self.parts += parts
        self.rows_left -= sum(part.rows for part in parts)

    def reserve(self, sequence: SequenceState, tokens: int) -> bool:
        """Take the pages of the first tokens of a sequence; False if not enough are free."""
        while not self.tables.extend(sequence, tokens):
            if not self._preempt_for(sequence):
                return False
        return True

    def share_prompt(self, strong: SequenceState, weak: WeakSequence) -> bool:
        """Let a weak side read the keys and values of the prompt; False if no page is free."""
        while not self.tables.share_prompt(strong, weak):
            if not self._preempt_for(strong):
                return False
        return True

    def _preempt_for(self, sequence: SequenceState) -> bool:
        """Preempt a sequence that cannot run, else the last arrival; False if there is none.

        The last arrival came after ``sequence`` and has no rows in the step.
        """
        arrival = next(
            i for i, other in enumerate(self._sequences) if sequence in (other, other.weak)
        )
        preemptible = [
            (i, other)
            for i, other in enumerate(self._sequences)
            if other.pages and other.drawing is None
        ]
        idle = [other for _, other in preemptible if not other.runnable]
        owners = [part.owner for part in self.parts]
        later = [other for i, other in preemptible if i > arrival and other not in owners]
        victim = next(iter(idle or reversed(later)), None)
        if victim is None:
            return False
        self.tables.preempt(victim)
        return True
