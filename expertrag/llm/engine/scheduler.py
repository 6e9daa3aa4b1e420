"""What the next step of an engine runs, and the KV cache pages of its sequences.

A step has the rows of sequences in decode first, with draft tokens (prompt_lookup.py), and fills up
with chunks of prompts in order of arrival (chunked prefill). Sequences that do not fit into the KV
cache wait. When a sequence in decode needs a page and none is free, the one that arrived last is
preempted, and recomputed later.

In contrastive decoding, a sequence has a weak side, whose rows run beside its own. Both are
prefilled first; then each step has the last token of both, with the same draft tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.engine.sequences import SequenceState, WeakSequence
from expertrag_kernels.steps import MOST_ROWS, PAGE_TOKENS, Steps

_DRAFT_ROWS = 16  # of a step; more draft tokens cost as much as they save
_MOST_DRAFT_TOKENS = 6  # of a sequence


@dataclass(slots=True)
class Counters:
    """What an engine has done since it started."""

    steps: int = 0
    rows: int = 0
    prefill_tokens: int = 0
    """Tokens of prompts, and of preempted sequences that were recomputed."""
    cached_tokens: int = 0
    """Prompt tokens found in the cache (prefix caching), not computed."""
    draft_tokens: int = 0
    accepted_tokens: int = 0
    preemptions: int = 0


@dataclass(slots=True)
class Scheduled:
    """The rows of one sequence in a step: some of its tokens, and draft tokens after them."""

    sequence: SequenceState
    start: int
    stop: int
    drafts: list[int]

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
        kept = decoder.pages if kept_bytes is None else decoder.shape.most_pages(kept_bytes)
        self.pages = PagePool(decoder.pages, kept, decoder.give_back)
        self._decoder = decoder
        self._speculate = speculate
        self._prefix_caching = prefix_caching
        self._window = decoder.window

    def next_step(self) -> list[Scheduled]:
        """Schedule the rows of the next step."""
        for sequence in [sequence for sequence in self.sequences if sequence.closed]:
            self.sequences.remove(sequence)
            self._free_pages(sequence)
            self.pages.trim()
        if self.resets_cache:
            self.pages.reset()
            self.resets_cache = False
        runnable = [sequence for sequence in self.sequences if sequence.runnable]
        decoding = [sequence for sequence in runnable if sequence.decoding]
        prefilling = [sequence for sequence in runnable if not sequence.decoding]
        most_drafts = self._most_draft_tokens(len(decoding))
        parts: list[Scheduled] = []
        left = self._decoder.step_rows
        for sequence in (*decoding, *prefilling):
            if sequence in prefilling[:1] and sequence.tail > self._decoder.step_rows:
                # its last rows run together: they would never fit
                left = min(sequence.tail, MOST_ROWS - sum(part.rows for part in parts))
            if left == 0:
                break
            scheduled = [part.sequence for part in parts]
            if sequence.weak is None:
                part = self._rows_of(sequence, left, most_drafts, scheduled)
                found = [part] if part else []
            else:
                found = self._rows_of_both(sequence, sequence.weak, left, most_drafts, scheduled)
            parts += found
            left -= sum(part.rows for part in found)
        return parts

    def _rows_of_both(
        self,
        strong: SequenceState,
        weak: WeakSequence,
        most: int,
        most_drafts: int,
        scheduled: list[SequenceState],
    ) -> list[Scheduled]:
        """Schedule some rows of a sequence and its weak side: of one, until both can sample."""
        if not strong.pages:
            self._find_prefix(strong)
        if strong.computed < len(strong.tokens) - strong.tail:
            part = self._prefill_rows(strong, len(strong.tokens) - strong.tail, most, scheduled)
            return [part] if part else []
        if not weak.pages:
            if not weak.shared_tokens:
                self._find_prefix(weak)
            elif not self._share_prompt(strong, weak, scheduled):
                return []
        if weak.computed < len(weak.tokens) - 1:
            part = self._prefill_rows(weak, len(weak.tokens) - 1, most, [*scheduled, strong])
            return [part] if part else []
        if most < strong.tail + 1:
            return []
        self._release_passed(weak)
        room = min(most_drafts, (most - strong.tail - 1) // 2)
        part = self._rows_of(strong, strong.tail + room, most_drafts, scheduled)
        start, end = weak.computed, len(weak.tokens)
        if part is None or not self._has_pages(weak, end + len(part.drafts), [*scheduled, strong]):
            return []
        return [Scheduled(weak, start, end, part.drafts), part]

    def _prefill_rows(
        self, sequence: SequenceState, end: int, most: int, scheduled: list[SequenceState]
    ) -> Scheduled | None:
        """Schedule rows that sample nothing, up to a token; None if no page is free."""
        self._release_passed(sequence)
        stop = min(end, sequence.computed + most)
        if not self._has_pages(sequence, stop, scheduled):
            return None
        return Scheduled(sequence, sequence.computed, stop, [])

    def _share_prompt(
        self, strong: SequenceState, weak: WeakSequence, scheduled: list[SequenceState]
    ) -> bool:
        """Let a weak side read the keys and values of the prompt; False if no page is free."""
        full, rest = divmod(weak.shared_tokens, PAGE_TOKENS)
        own = []
        if rest:  # its own tokens follow in this page
            page = self._page_for(strong, scheduled)
            if page is None:
                return False
            self._decoder.copy_page(strong.pages[full], page)
            own.append(page)
        weak.released = strong.released
        for page in strong.pages[strong.released : full]:
            self.pages.hold(page)
        weak.pages = [*strong.pages[:full], *own]
        weak.computed = weak.shared_tokens
        return True

    def _most_draft_tokens(self, decoding: int) -> int:
        if not self._speculate or not decoding:
            return 0
        return min(_MOST_DRAFT_TOKENS, max(0, _DRAFT_ROWS // decoding - 1))

    def _rows_of(
        self, sequence: SequenceState, most: int, most_drafts: int, scheduled: list[SequenceState]
    ) -> Scheduled | None:
        """Schedule some rows of a sequence, with pages for them; None if no page is free."""
        if not sequence.pages:
            self._find_prefix(sequence)
        self._release_passed(sequence)
        start, end = sequence.computed, len(sequence.tokens)
        stop = min(end, start + most)
        if stop < end and end - stop < sequence.tail:
            stop = end - sequence.tail
        if stop <= start:
            return None
        drafts: list[int] = []
        if stop == end and end - start == 1 and not sequence.logit_rows:
            room = min(most_drafts, most - 1, sequence.token_budget - sequence.generated - 1)
            drafts = self._draft(sequence, room) if room > 0 else []
        if not self._has_pages(sequence, stop + len(drafts), scheduled):
            return None
        return Scheduled(sequence, start, stop, drafts)

    def _has_pages(
        self, sequence: SequenceState, tokens: int, scheduled: list[SequenceState]
    ) -> bool:
        """Take the pages of the first tokens of a sequence; False if not enough are free."""
        while (tokens - 1) // PAGE_TOKENS >= len(sequence.pages):
            page = self._page_for(sequence, scheduled)
            if page is None:
                return False
            sequence.pages.append(page)
        return True

    @staticmethod
    def _draft(sequence: SequenceState, room: int) -> list[int]:
        """Propose the tokens that a constraint forces, else those of the prompt lookup."""
        assert sequence.sampler is not None, "sequences that sample have one"
        return sequence.sampler.forced()[:room] or sequence.lookup.propose(sequence.tokens, room)

    def _find_prefix(self, sequence: SequenceState) -> None:
        """Find the prefix of a sequence in the cache."""
        if not self._prefix_caching:
            return
        most = len(sequence.tokens) - sequence.tail
        found = self.pages.find(sequence.tokens, most, sequence.root)
        sequence.pages, sequence.serial = found.pages, found.serial
        sequence.registered = len(found.pages)
        sequence.computed = len(found.pages) * PAGE_TOKENS
        if found.copied is not None:
            page = self.pages.take()
            if page is not None:
                self._decoder.copy_page(found.copied, page)
                sequence.pages.append(page)
                sequence.computed += found.copied_tokens
            self.pages.release(found.copied)
        self.counters.cached_tokens += sequence.computed
        if not sequence.generated:  # a preempted one finds its own tokens
            sequence.cached = sequence.computed

    def _page_for(self, sequence: SequenceState, scheduled: list[SequenceState]) -> int | None:
        """Take a page; preempt the sequence that arrived last and is not in this step if needed."""
        while (page := self.pages.take()) is None:
            place = next(
                i for i, other in enumerate(self.sequences) if sequence in (other, other.weak)
            )
            later = [
                other
                for other in self.sequences[place + 1 :]
                if other.pages and other not in scheduled and other.weak not in scheduled
            ]
            idle = [other for other in self.sequences if other.pages and not other.runnable]
            victim = next(iter(idle or reversed(later)), None)
            if victim is None:
                return None
            self.counters.preemptions += 1
            self._free_pages(victim)
        return page

    def _release_passed(self, sequence: SequenceState) -> None:
        """Release the pages before every window of the sequence's next rows.

        The sequence keeps their numbers, so that its table has a page for every position; no layer
        reads them. They can be found by their tokens until they are used again.
        """
        if not self._window:
            return
        passed = max(0, sequence.computed - self._window + 1) // PAGE_TOKENS
        for page in sequence.pages[sequence.released : passed]:
            self.pages.release(page)
        sequence.released = max(sequence.released, passed)

    def _free_pages(self, sequence: SequenceState) -> None:
        for page in reversed(
            sequence.pages[sequence.released :]
        ):  # the first ones, which others may share, are evicted last
            self.pages.release(page)
        sequence.pages = []
        sequence.computed = sequence.registered = sequence.released = 0
        sequence.serial = sequence.root
        if sequence.weak is not None:
            self._free_pages(sequence.weak)

    def register(self, sequence: SequenceState) -> None:
        """Make full pages findable by their tokens."""
        if isinstance(sequence, WeakSequence) and sequence.shared_tokens:
            return  # its keys are of two kinds
        while self._prefix_caching and (sequence.registered + 1) * PAGE_TOKENS <= sequence.computed:
            start = sequence.registered * PAGE_TOKENS
            tokens = sequence.tokens[start : start + PAGE_TOKENS]
            sequence.serial = self.pages.register(
                sequence.serial, tokens, sequence.pages[sequence.registered]
            )
            sequence.registered += 1
