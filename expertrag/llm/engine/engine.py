"""Continuous batching: each step of one decoder runs the rows of many sequences.

A thread runs the steps that scheduler.py plans. Neither what shares a step nor preemption changes a
token: a row's result is the same, bit for bit, in any batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded, ServerError
from expertrag.llm.engine.scheduler import Scheduled, Scheduler
from expertrag.llm.engine.sequences import (
    PrefillOutput,
    SampledToken,
    SequenceState,
    WeakSequence,
)
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag.llm.logprobs import Ranked
from expertrag.llm.sampling import certainty
from expertrag_kernels.steps import MOST_ROWS, SequenceRows, Steps

_POLL_S = 0.05  # how late a deadline may be noticed


class Engine:
    """Runs sequences on one decoder. Thread-safe; its thread ends with :meth:`stop`."""

    def __init__(
        self,
        decoder: Steps[Any, Any],
        expert_updates: Sequence[tuple[Any, ...]] = (),
        *,
        threads: int | None = None,
        speculate: bool = True,
        prefix_caching: bool = True,
        kept_bytes: int | None = None,
    ) -> None:
        """Start the thread.

        :param expert_updates: see ``Lowered``.
        :param kept_bytes: size of the keys and values that stay cached when no sequence holds them;
            None for all.
        """
        self._decoder = decoder
        self._expert_updates = expert_updates
        self._threads = threads
        self._scheduler = Scheduler(
            decoder, kept_bytes, speculate=speculate, prefix_caching=prefix_caching
        )
        self.counters = self._scheduler.counters
        self._preferred: set[ExpertPattern | None] = {None}
        self._changed = threading.Condition()
        self._stopped = False
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
            self._scheduler.sequences.append(sequence)
            self._prefer_experts()
            self._changed.notify()

    def set_budget(self, sequence: SequenceState, tokens: int, *, return_certainty: bool) -> None:
        """Let a sequence generate this many tokens in all."""
        with self._changed:
            sequence.token_budget, sequence.return_certainty = tokens, return_certainty
            self._changed.notify()

    def prefill(
        self, sequence: SequenceState, tokens: Sequence[int], rows: int, *, return_states: bool
    ) -> None:
        """Append tokens to a sequence, and return the logits of its last rows.

        :raises InvalidArgument: there are more rows than a step can have.
        """
        most = MOST_ROWS // 2  # beside sequences in decode
        if rows > most:
            raise InvalidArgument(f"at most {most} rows can be returned at once; got {rows}")
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
            self._scheduler.resets_cache = True

    def stop(self) -> None:
        """End the thread after the current step; open sequences get an error."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:  # which may drop the last user
            self._thread.join()  # the interpreter must not end while it computes

    def _prefer_experts(self) -> None:
        """Have the experts in memory that open sequences may use, and keep those of the last ones.

        Beside a sequence that may use all of them, none is preferred.
        """
        patterns = {one.pattern for one in self._scheduler.sequences if not one.closed}
        if patterns and patterns != self._preferred:
            self._preferred = patterns
            self._decoder.prefer_experts(
                [] if None in patterns else [pattern.open for pattern in patterns if pattern]
            )

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
                self._prefer_experts()
                while not (parts := self._scheduler.next_step()):
                    if self._stopped:
                        return
                    self._changed.wait()
                if self._stopped:
                    for sequence in self._scheduler.sequences:
                        sequence.outputs.put(ServerError("the model is being unloaded"))
                    return
            try:
                logits, states = self._step(parts)
            except Exception as error:
                self._fail([part.sequence for part in parts], error)
                continue
            self._distribute(parts, logits, states)

    def _step(self, parts: Sequence[Scheduled]) -> tuple[torch.Tensor, list[torch.Tensor]]:
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
            own = part.sequence
            expert, updates = self._chosen(own)
            open_experts = own.pattern.open if own.pattern else None
            rows.append(SequenceRows(first, end, pages, expert, own.routing, updates, open_experts))
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

    def _chosen(self, sequence: SequenceState) -> tuple[int, tuple[Any, ...]]:
        """Return the planned expert of a sequence's rows, and the adapters that they use."""
        own = (sequence.adapter.updates,) if sequence.adapter else ()
        if not self._expert_updates:
            return sequence.expert, own
        return -1, (*(self._expert_updates[sequence.expert] if sequence.expert >= 0 else ()), *own)

    def _distribute(
        self, parts: Sequence[Scheduled], logits: torch.Tensor, states: list[torch.Tensor]
    ) -> None:
        row = seen = 0
        weak_logits: torch.Tensor | None = None
        for part in parts:
            sequence = part.sequence
            with self._changed:
                sequence.computed = part.stop
            if not part.last:
                self._scheduler.register(sequence)
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
            self._scheduler.register(sequence)

    @torch.inference_mode()
    def _sample(
        self, part: Scheduled, logits: torch.Tensor, weak_logits: torch.Tensor | None
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
