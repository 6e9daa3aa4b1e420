"""Gives the sequences of an engine their pages: cached prefixes, and new pages.

A page is held once for each sequence side whose table has it in ``pages[released:]``. A page enters
a table before anything that may fail, so that freeing a failed sequence frees all that it took.

Of a sequence side, between two steps (page numbers times ``PAGE_TOKENS`` are positions):

    tokens   0 ......................... computed ............ len(tokens)
             keys and values are in pages         still to run

    pages    0 ........ released .......... registered ....... len(pages)
             before every     held, and found        held, and found
             window: only     by their tokens,       by nobody: the
             their numbers    so others share them   side writes here

``released`` and ``registered`` never pass ``computed``, which never passes the last page. Without
prefix caching ``registered`` stays 0; the side that shares the pages of a prompt registers none.
``Engine.check_integrity`` compares the holders of all pages with this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.engine.sequences import Counters, SequenceState, WeakSequence
from expertrag_kernels.steps import PAGE_TOKENS, Steps


class PageTables:
    """The pages of sequences, which are in order of arrival. Not thread-safe."""

    def __init__(
        self,
        decoder: Steps[Any, Any],
        kept_bytes: int | None,
        counters: Counters,
        sequences: Sequence[SequenceState],
        *,
        prefix_caching: bool,
    ) -> None:
        """Start with free pages; see :class:`expertrag.llm.engine.scheduler.Scheduler`."""
        self._decoder = decoder
        self._kept = decoder.pages if kept_bytes is None else decoder.shape.most_pages(kept_bytes)
        self._counters = counters
        self._sequences = sequences
        self._prefix_caching = prefix_caching
        self._window = decoder.window
        self.pool = self._new_pool()

    def reset(self) -> None:
        """Start with free pages again, when no sequence is open."""
        self.pool = self._new_pool()

    def _new_pool(self) -> PagePool:
        return PagePool(self._decoder.pages, self._kept, self._give_back)

    def _give_back(self, pages: Sequence[int]) -> None:
        self._decoder.give_back(pages)

    def open(self, sequence: SequenceState) -> None:
        """Let a sequence have the pages that it needs before its next rows, and no others."""
        if not sequence.pages:
            self.find_prefix(sequence)
        self.release_passed(sequence)

    def extend(self, sequence: SequenceState, tokens: int) -> bool:
        """Take the pages of the first tokens of a sequence; False if not enough are free.

        The sequence keeps those that it could take.
        """
        while (tokens - 1) // PAGE_TOKENS >= len(sequence.pages):
            page = self.pool.take()
            if page is None:
                return False
            sequence.pages.append(page)
        return True

    def find_prefix(self, sequence: SequenceState) -> None:
        """Find the prefix of a sequence in the cache."""
        if not self._prefix_caching:
            return
        most = len(sequence.tokens) - sequence.tail
        result = self.pool.find(sequence.tokens, most, sequence.policy.root)
        sequence.pages, sequence.serial = result.pages, result.serial
        sequence.registered = len(result.pages)
        sequence.computed = len(result.pages) * PAGE_TOKENS
        if result.copied is not None:
            try:
                page = self.pool.take()
                if page is not None:
                    sequence.pages.append(page)
                    self._decoder.copy_page(result.copied, page)
                    sequence.computed += result.copied_tokens
            finally:
                self.pool.release(result.copied)
        self._counters.cached_tokens += sequence.computed
        if not sequence.generated:  # a preempted one finds its own tokens
            sequence.cached = sequence.computed

    def share_prompt(self, strong: SequenceState, weak: WeakSequence) -> bool:
        """Let a weak side read the keys and values of the prompt; False if no page is free."""
        full, rest = divmod(weak.shared_tokens, PAGE_TOKENS)
        page = self.pool.take() if rest else None  # its own tokens follow in this page
        if rest and page is None:
            return False
        weak.released = strong.released
        weak.pages = strong.pages[: weak.released]
        for shared in strong.pages[weak.released : full]:
            self.pool.hold(shared)
            weak.pages.append(shared)
        if page is not None:
            weak.pages.append(page)
            self._decoder.copy_page(strong.pages[full], page)
        weak.computed = weak.shared_tokens
        return True

    def release_passed(self, sequence: SequenceState) -> None:
        """Release the pages before every window of the sequence's next rows.

        The sequence keeps their numbers, so that its table has a page for every position; no layer
        reads them. They can be found by their tokens until they are used again.
        """
        if not self._window:
            return
        passed = max(0, sequence.computed - self._window + 1) // PAGE_TOKENS
        while sequence.released < passed:
            sequence.released += 1
            self.pool.release(sequence.pages[sequence.released - 1])

    def preempt(self, sequence: SequenceState) -> None:
        """Release all pages of a sequence that is still open; it is recomputed later."""
        self._counters.preemptions += 1
        self.free(sequence)

    def free(self, sequence: SequenceState) -> None:
        """Release all pages of a sequence and of its weak side."""
        while len(sequence.pages) > sequence.released:
            # the first ones, which others may share, are evicted last
            self.pool.release(sequence.pages.pop())
        sequence.forget_pages()
        if sequence.weak is not None:
            self.free(sequence.weak)

    def register(self, sequence: SequenceState) -> None:
        """Make full pages findable by their tokens."""
        if isinstance(sequence, WeakSequence) and sequence.shared_tokens:
            return  # its keys are of two kinds
        while self._prefix_caching and (sequence.registered + 1) * PAGE_TOKENS <= sequence.computed:
            start = sequence.registered * PAGE_TOKENS
            tokens = sequence.tokens[start : start + PAGE_TOKENS]
            sequence.serial = self.pool.register(
                sequence.serial, tokens, sequence.pages[sequence.registered]
            )
            sequence.registered += 1

    def differences(self) -> Iterator[str]:
        """Compare the pool with the tables of all sequences; yield what differs, in words."""
        for side in self._sides():
            if not 0 <= side.computed <= len(side.pages) * PAGE_TOKENS:
                yield f"{side.computed} tokens are computed in {len(side.pages)} pages"
        yield from self.pool.differences(self._count_holders())

    def repair(self) -> None:
        """Free the pages that are in no table, and forget what was cached in them."""
        self.pool.repair(self._count_holders())

    def _sides(self) -> Iterator[SequenceState]:
        for sequence in self._sequences:
            yield sequence
            if sequence.weak is not None:
                yield sequence.weak

    def _count_holders(self) -> Counter[int]:
        """Count how many sequence sides hold each page."""
        return Counter(page for side in self._sides() for page in side.pages[side.released :])
