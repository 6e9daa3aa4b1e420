"""Continuous batching: each step of one decoder runs the rows of many sequences.

A thread runs the steps. A step first schedules the sequences in decode, with draft tokens
(prompt_lookup.py), then fills up with chunks of prompts in order of arrival (chunked prefill).
Sequences that do not fit into the KV cache wait. When a sequence in decode needs a page and none is
free, the engine preempts the one that arrived last and recomputes it later. Preemption changes no
token: a row's result is the same, bit for bit, in any batch.

In contrastive decoding, a sequence has a weak side, whose rows run beside its own. Both are
prefilled first; then each step has the last token of both, with the same draft tokens.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded, ServerError
from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.engine.sequences import (
    PrefillOutput,
    SampledToken,
    SequenceState,
    WeakSequence,
)
from expertrag.llm.logprobs import Ranked
from expertrag.llm.sampling import certainty
from expertrag_kernels.steps import PAGE_TOKENS, SequenceRows, Steps

_DRAFT_ROWS = 16  # of a step; more draft tokens cost as much as they save
_MOST_DRAFT_TOKENS = 6  # of a sequence
_POLL_S = 0.05  # how late a deadline may be noticed


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
class _Scheduled:
    """The rows of one sequence in a step: some of its tokens, and draft tokens after them."""

    sequence: SequenceState
    start: int
    stop: int
    drafts: list[int]

    @property
    def rows(self) -> int:
        return self.stop - self.start + len(self.drafts)

    @property
    def last(self) -> bool:
        """Whether the sequence ends here, so that its next token can be sampled."""
        return self.stop == len(self.sequence.tokens)


class Engine:
    """Runs sequences on one decoder. Thread-safe; its thread ends with :meth:`stop`."""

    def __init__(
        self,
        decoder: Steps[Any, Any],
        *,
        threads: int | None = None,
        speculate: bool = True,
        prefix_caching: bool = True,
        kept_bytes: int | None = None,
    ) -> None:
        """Start the thread.

        :param kept_bytes: size of the keys and values that stay cached when no sequence holds them;
            None for all.
        """
        self.counters = Counters()
        self._decoder = decoder
        self._threads = threads
        self._speculate = speculate
        self._prefix_caching = prefix_caching
        self._window = decoder.window
        kept = decoder.pages if kept_bytes is None else decoder.shape.most_pages(kept_bytes)
        self._pages = PagePool(decoder.pages, kept, decoder.give_back)
        self._sequences: list[SequenceState] = []  # in order of arrival
        self._changed = threading.Condition()
        self._stopped = self._resets_cache = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def most_tokens(self) -> int:
        """Length of the longest sequence that fits into the cache."""
        return self._decoder.most_tokens

    def check_room(self, sequence: SequenceState, generated: int) -> None:
        """Check that a sequence that generates so many tokens fits into the cache.

        :raises InvalidArgument: it does not, even alone.
        """
        longest = sequence.room(generated)
        if longest > self.most_tokens:
            raise InvalidArgument(
                f"{longest} tokens do not fit into the cache of {self.most_tokens}; shorten the "
                "prompt, lower max_tokens, or give the cache more memory",
                reason="CONTEXT_EXCEEDED",
            )

    def submit(self, sequence: SequenceState) -> None:
        """Add a sequence; its outputs arrive in its queue.

        :raises InvalidArgument: it does not fit into the cache, even alone.
        """
        self.check_room(sequence, sequence.token_budget)
        with self._changed:
            self._sequences.append(sequence)
            self._changed.notify()

    def set_budget(self, sequence: SequenceState, tokens: int, *, return_certainty: bool) -> None:
        """Let a sequence generate this many tokens in all."""
        with self._changed:
            sequence.token_budget, sequence.return_certainty = tokens, return_certainty
            self._changed.notify()

    def prefill(
        self, sequence: SequenceState, tokens: Sequence[int], rows: int, *, return_states: bool
    ) -> None:
        """Append tokens to a sequence, and return the logits of its last rows."""
        with self._changed:
            sequence.tokens.extend(tokens)
            sequence.logit_rows, sequence.state_rows = rows, rows if return_states else 0
            self._changed.notify()

    def close(self, sequence: SequenceState) -> None:
        """End a sequence; its pages are free before the next step. Safe to call twice."""
        with self._changed:
            sequence.closed = True
            self._changed.notify()

    def reset_prefix_cache(self) -> None:
        """Forget the prefixes of closed sequences, before the next one is scheduled."""
        with self._changed:
            self._resets_cache = True

    def stop(self) -> None:
        """End the thread after the current step; open sequences get an error."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:  # which may drop the last user
            self._thread.join()  # the interpreter must not end while it computes

    @staticmethod
    def next_output(
        sequence: SequenceState, should_stop: Callable[[], None]
    ) -> SampledToken | PrefillOutput:
        """Wait for the next output of a sequence, calling ``should_stop`` meanwhile.

        :raises ServerError: the step failed.
        """
        while True:
            should_stop()
            try:
                found = sequence.outputs.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise found
            return found

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (parts := self._schedule()):
                    if self._stopped:
                        return
                    self._changed.wait()
                if self._stopped:
                    for sequence in self._sequences:
                        sequence.outputs.put(ServerError("the model is being unloaded"))
                    return
            try:
                logits, states = self._step(parts)
            except Exception as error:
                self._fail([part.sequence for part in parts], error)
                continue
            self._distribute(parts, logits, states)

    def _schedule(self) -> list[_Scheduled]:
        """Schedule the rows of the next step."""
        for sequence in [sequence for sequence in self._sequences if sequence.closed]:
            self._sequences.remove(sequence)
            self._free_pages(sequence)
            self._pages.trim()
        if self._resets_cache:
            self._pages.reset()
            self._resets_cache = False
        runnable = [sequence for sequence in self._sequences if sequence.runnable]
        decoding = [sequence for sequence in runnable if sequence.decoding]
        prefilling = [sequence for sequence in runnable if not sequence.decoding]
        most_drafts = self._most_draft_tokens(len(decoding))
        parts: list[_Scheduled] = []
        left = self._decoder.step_rows
        for sequence in (*decoding, *prefilling):
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
    ) -> list[_Scheduled]:
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
        return [_Scheduled(weak, start, end, part.drafts), part]

    def _prefill_rows(
        self, sequence: SequenceState, end: int, most: int, scheduled: list[SequenceState]
    ) -> _Scheduled | None:
        """Schedule rows that sample nothing, up to a token; None if no page is free."""
        self._release_passed(sequence)
        stop = min(end, sequence.computed + most)
        if not self._has_pages(sequence, stop, scheduled):
            return None
        return _Scheduled(sequence, sequence.computed, stop, [])

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
            self._pages.hold(page)
        weak.pages = [*strong.pages[:full], *own]
        weak.computed = weak.shared_tokens
        return True

    def _most_draft_tokens(self, decoding: int) -> int:
        if not self._speculate or not decoding:
            return 0
        return min(_MOST_DRAFT_TOKENS, max(0, _DRAFT_ROWS // decoding - 1))

    def _rows_of(
        self, sequence: SequenceState, most: int, most_drafts: int, scheduled: list[SequenceState]
    ) -> _Scheduled | None:
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
        return _Scheduled(sequence, start, stop, drafts)

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
        found = self._pages.find(sequence.tokens, most, sequence.root)
        sequence.pages, sequence.serial = found.pages, found.serial
        sequence.registered = len(found.pages)
        sequence.computed = len(found.pages) * PAGE_TOKENS
        if found.copied is not None:
            page = self._pages.take()
            if page is not None:
                self._decoder.copy_page(found.copied, page)
                sequence.pages.append(page)
                sequence.computed += found.copied_tokens
            self._pages.release(found.copied)
        self.counters.cached_tokens += sequence.computed
        if not sequence.generated:  # a preempted one finds its own tokens
            sequence.cached = sequence.computed

    def _page_for(self, sequence: SequenceState, scheduled: list[SequenceState]) -> int | None:
        """Take a page; preempt the sequence that arrived last and is not in this step if needed."""
        while (page := self._pages.take()) is None:
            place = next(
                i for i, other in enumerate(self._sequences) if sequence in (other, other.weak)
            )
            later = [
                other
                for other in self._sequences[place + 1 :]
                if other.pages and other not in scheduled and other.weak not in scheduled
            ]
            idle = [other for other in self._sequences if other.pages and not other.runnable]
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
            self._pages.release(page)
        sequence.released = max(sequence.released, passed)

    def _free_pages(self, sequence: SequenceState) -> None:
        for page in reversed(
            sequence.pages[sequence.released :]
        ):  # the first ones, which others may share, are evicted last
            self._pages.release(page)
        sequence.pages = []
        sequence.computed = sequence.registered = sequence.released = 0
        sequence.serial = sequence.root
        if sequence.weak is not None:
            self._free_pages(sequence.weak)

    def _step(self, parts: Sequence[_Scheduled]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        tokens: list[int] = []
        positions: list[int] = []
        logit_rows: list[int] = []
        state_rows: list[int] = []
        rows: list[SequenceRows] = []
        for part in parts:
            first = len(tokens)
            if part.stop - part.start > 1 or not part.sequence.generated:
                self.counters.prefill_tokens += part.stop - part.start
            tokens += part.sequence.tokens[part.start : part.stop] + part.drafts
            positions += range(part.start, part.start + part.rows)
            end = len(tokens)
            pages = torch.tensor(part.sequence.pages)
            own = part.sequence.expert, part.sequence.routing
            rows.append(SequenceRows(first, end, pages, *own))
            if part.last:
                logit_rows += range(end - max(part.sequence.logit_rows, 1 + len(part.drafts)), end)
                state_rows += range(end - part.sequence.state_rows, end)
        self.counters.steps += 1
        self.counters.rows += len(tokens)
        return self._decoder.run(
            torch.tensor(tokens),
            torch.tensor(positions),
            rows,
            torch.tensor(logit_rows, dtype=torch.long),
            torch.tensor(state_rows, dtype=torch.long),
            threads=self._threads,
        )

    def _distribute(
        self, parts: Sequence[_Scheduled], logits: torch.Tensor, states: list[torch.Tensor]
    ) -> None:
        row = seen = 0
        weak_logits: torch.Tensor | None = None
        for part in parts:
            sequence = part.sequence
            with self._changed:
                sequence.computed = part.stop
            if not part.last:
                self._register(sequence)
                continue
            count = max(sequence.logit_rows, 1 + len(part.drafts))
            own = logits[row : row + count]
            own_states = [values[seen : seen + sequence.state_rows] for values in states]
            row, seen = row + count, seen + sequence.state_rows
            prefilled = sequence.logit_rows > 0
            returned = prefilled or sequence.state_rows > 0
            with self._changed:  # before the output, which may bring the next prefill at once
                sequence.logit_rows = sequence.state_rows = 0
            if returned:
                sequence.outputs.put(PrefillOutput(own, own_states))
            if isinstance(sequence, WeakSequence):
                weak_logits = own  # the strong side comes next, and samples
            elif not prefilled:
                try:
                    self._sample(part, own, weak_logits if sequence.weak else None)
                except Exception as error:  # a constraint that proves too complex
                    self._fail([sequence], error)
                    continue
            self._register(sequence)

    @torch.inference_mode()
    def _sample(
        self, part: _Scheduled, logits: torch.Tensor, weak_logits: torch.Tensor | None
    ) -> None:
        """Sample the next token, and more as long as draft tokens are accepted.

        :param weak_logits: of the same rows of the weak side.
        """
        sequence = part.sequence
        assert sequence.sampler is not None, "sequences that sample have one"
        accepted = 0
        for place, row in enumerate(logits):
            certain = certainty(row) if sequence.return_certainty else None
            token = sequence.sampler.draw(row, None if weak_logits is None else weak_logits[place])
            ranked = None if sequence.logprobs is None else Ranked.of(row, token, sequence.logprobs)
            ended = token in sequence.end_tokens
            last = ended or sequence.sampler.complete
            with self._changed:
                sequence.generated += 1
                if last:
                    sequence.token_budget = 0
                if not ended:
                    sequence.tokens.append(token)
                if sequence.weak:
                    sequence.weak.generated += 1
                    sequence.weak.tokens += [] if ended else [token]
            sequence.outputs.put(SampledToken(token, certain, ranked, last))
            if last or place == len(part.drafts) or token != part.drafts[place]:
                break
            accepted += 1
        with self._changed:
            sequence.computed += accepted
            if sequence.weak:
                sequence.weak.computed += accepted
        if part.drafts:
            sequence.lookup.observe(len(part.drafts), accepted)
            self.counters.draft_tokens += len(part.drafts)
            self.counters.accepted_tokens += accepted

    def _register(self, sequence: SequenceState) -> None:
        """Make full pages findable by their tokens."""
        if isinstance(sequence, WeakSequence) and sequence.shared_tokens:
            return  # its keys are of two kinds
        while self._prefix_caching and (sequence.registered + 1) * PAGE_TOKENS <= sequence.computed:
            start = sequence.registered * PAGE_TOKENS
            tokens = sequence.tokens[start : start + PAGE_TOKENS]
            sequence.serial = self._pages.register(
                sequence.serial, tokens, sequence.pages[sequence.registered]
            )
            sequence.registered += 1

    def _fail(self, sequences: Sequence[SequenceState], error: Exception) -> None:
        shown: Exception = ServerError(f"the model failed: {error}")
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            shown = Overloaded("out of memory; ask again later or shorten the prompt")
        elif isinstance(error, ExpertRAGError):
            shown = error
        with self._changed:
            for sequence in sequences:
                sequence.closed = True
                sequence.outputs.put(shown)
