"""Continuous batching: each step of one decoder runs the rows of many sequences.

A thread runs the steps. A step first schedules the sequences in decode, with draft tokens
(prompt_lookup.py), then fills up with chunks of prompts in order of arrival (chunked prefill).
Sequences that do not fit into the KV cache wait. When a sequence in decode needs a page and none is
free, the engine preempts the one that arrived last and recomputes it later. Preemption changes no
token: a row's result is the same, bit for bit, in any batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded, ServerError
from expertrag.llm.engine.page_pool import PagePool, root_of
from expertrag.llm.engine.sequences import PrefillOutput, SampledToken, SequenceState
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
        return self._decoder.pages * PAGE_TOKENS

    def submit(self, sequence: SequenceState) -> None:
        """Add a sequence; its outputs arrive in its queue.

        :raises InvalidArgument: it does not fit into the cache, even alone.
        """
        longest = len(sequence.tokens) + sequence.token_budget
        if longest > self.most_tokens:
            raise InvalidArgument(
                f"{longest} tokens do not fit into the cache of {self.most_tokens}; shorten the "
                "prompt, lower max_tokens, or give the cache more memory",
                reason="CONTEXT_EXCEEDED",
            )
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
        decoding = [sequence for sequence in runnable if sequence.uncomputed == 1]
        prefilling = [sequence for sequence in runnable if sequence.uncomputed > 1]
        most_drafts = self._most_draft_tokens(len(decoding))
        parts: list[_Scheduled] = []
        left = self._decoder.step_rows
        for sequence in (*decoding, *prefilling):
            if left == 0:
                break
            part = self._rows_of(sequence, left, most_drafts, [part.sequence for part in parts])
            if part:
                parts.append(part)
                left -= part.rows
        return parts

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
        start, end = sequence.computed, len(sequence.tokens)
        stop = min(end, start + most)
        tail = max(sequence.logit_rows, sequence.state_rows, 1)
        if stop < end and end - stop < tail:  # rows that are returned together run together
            stop = end - tail
        if stop <= start:
            return None
        drafts: list[int] = []
        if stop == end and end - start == 1 and not sequence.logit_rows:
            room = min(most_drafts, most - 1, sequence.token_budget - sequence.generated - 1)
            drafts = self._draft(sequence, room) if room > 0 else []
        while (stop + len(drafts) - 1) // PAGE_TOKENS >= len(sequence.pages):
            page = self._page_for(sequence, scheduled)
            if page is None:
                return None
            sequence.pages.append(page)
        return _Scheduled(sequence, start, stop, drafts)

    @staticmethod
    def _draft(sequence: SequenceState, room: int) -> list[int]:
        """Propose the tokens that a constraint forces, else those of the prompt lookup."""
        assert sequence.sampler is not None, "sequences that sample have one"
        return sequence.sampler.forced()[:room] or sequence.lookup.propose(sequence.tokens, room)

    def _find_prefix(self, sequence: SequenceState) -> None:
        """Find the prefix of a sequence in the cache."""
        if not self._prefix_caching:
            return
        most = len(sequence.tokens) - max(sequence.logit_rows, sequence.state_rows, 1)
        found = self._pages.find(sequence.tokens, most, root_of(sequence.expert, sequence.salt))
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
            place = self._sequences.index(sequence)
            later = [
                other
                for other in self._sequences[place + 1 :]
                if other.pages and other not in scheduled
            ]
            idle = [other for other in self._sequences if other.pages and not other.runnable]
            victim = next(iter(idle or reversed(later)), None)
            if victim is None:
                return None
            self.counters.preemptions += 1
            self._free_pages(victim)
        return page

    def _free_pages(self, sequence: SequenceState) -> None:
        for page in reversed(
            sequence.pages
        ):  # the first ones, which others may share, are evicted last
            self._pages.release(page)
        sequence.pages = []
        sequence.computed = sequence.registered = 0
        sequence.serial = root_of(sequence.expert, sequence.salt)

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
            rows.append(SequenceRows(first, end, pages, part.sequence.expert))
            if part.last:
                logit_rows += range(end - max(part.sequence.logit_rows, 1 + len(part.drafts)), end)
                state_rows += range(end - part.sequence.state_rows, end)
        self.counters.steps += 1
        self.counters.rows += len(tokens)
        before = self._decoder.expert_reads
        found = self._decoder.run(
            torch.tensor(tokens),
            torch.tensor(positions),
            rows,
            torch.tensor(logit_rows, dtype=torch.long),
            torch.tensor(state_rows, dtype=torch.long),
            threads=self._threads,
        )
        if before is not None and (after := self._decoder.expert_reads):
            for part in parts:  # each has waited for all of it
                part.sequence.expert_reads += after - before
        return found

    def _distribute(
        self, parts: Sequence[_Scheduled], logits: torch.Tensor, states: list[torch.Tensor]
    ) -> None:
        row = seen = 0
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
            if not prefilled:
                try:
                    self._sample(part, own)
                except Exception as error:  # a constraint that proves too complex
                    self._fail([sequence], error)
                    continue
            self._register(sequence)

    @torch.inference_mode()
    def _sample(self, part: _Scheduled, logits: torch.Tensor) -> None:
        """Sample the next token, and more as long as draft tokens are accepted."""
        sequence = part.sequence
        assert sequence.sampler is not None, "sequences that sample have one"
        accepted = 0
        for place, row in enumerate(logits):
            certain = certainty(row) if sequence.return_certainty else None
            token = sequence.sampler.draw(row)
            ranked = None if sequence.logprobs is None else Ranked.of(row, token, sequence.logprobs)
            ended = token in sequence.end_tokens
            last = ended or sequence.sampler.complete
            with self._changed:
                sequence.generated += 1
                if last:
                    sequence.token_budget = 0
                if not ended:
                    sequence.tokens.append(token)
            sequence.outputs.put(SampledToken(token, certain, ranked, last))
            if last or place == len(part.drafts) or token != part.drafts[place]:
                break
            accepted += 1
        with self._changed:
            sequence.computed += accepted
        if part.drafts:
            sequence.lookup.observe(len(part.drafts), accepted)
            self.counters.draft_tokens += len(part.drafts)
            self.counters.accepted_tokens += accepted

    def _register(self, sequence: SequenceState) -> None:
        """Make full pages findable by their tokens."""
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
