"""Continuous batching: each step of one decoder runs the rows of many sequences.

A thread runs the steps that scheduler.py plans. Neither what shares a step nor preemption changes a
token: a row's result is the same, bit for bit, in any batch.

A sequence that fails ends alone: it is scheduled and sampled under a guard, and a batch that fails
is run again, sequence by sequence. What no guard expects ends all open sequences, and the thread
goes on with an empty cache. ``problem`` says when it does not.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded, ServerError
from expertrag.llm.engine.batch import BatchRunner, PartOutput
from expertrag.llm.engine.drawing import Drawing
from expertrag.llm.engine.scheduler import Scheduler
from expertrag.llm.engine.sequences import (
    PrefillOutput,
    SampledToken,
    SequenceState,
    WeakSequence,
)
from expertrag_kernels.steps import MOST_ROWS, Steps

STALL_S = 300.0
"""Seconds without a step, with work waiting, after which the engine counts as stuck. The slowest
step, a prefill of 512 rows with 14 billion parameters, takes two minutes on two cores."""
_POLL_S = 0.05  # how late a deadline may be noticed
_RETRY_S = 0.1  # of a wait for pages, in case nothing announces them
_SLOW_POLL_S = 0.005  # how often slow constraints are looked at while no sequence can run
_GRACE_S = 0.02  # what a step waits for constraints that are seldom slow, to share the next step
_BACKOFF_S = 0.05  # after an unexpected error, so that a lasting one does not fill the log

_ENDED = "the engine has ended; restart the server"

_log = logging.getLogger(__name__)


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
        stall_s: float = STALL_S,
    ) -> None:
        """Start the thread.

        :param expert_updates: see ``Lowered``.
        :param kept_bytes: size of the keys and values that stay cached when no sequence holds them;
            None for all.
        :param stall_s: see :attr:`problem`.
        """
        self._decoder = decoder
        self._stall_s = stall_s
        self._scheduler = Scheduler(
            decoder, kept_bytes, speculate=speculate, prefix_caching=prefix_caching
        )
        self.counters = self._scheduler.counters
        self._batches = BatchRunner(decoder, expert_updates, self.counters, threads)
        self._drawings: list[Drawing] = []  # that wait for their constraints
        self._changed = threading.Condition()
        self._stopped = False
        self._idle = False
        self._doubted = False  # whether a failed sequence may have left something behind
        self._moved_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def most_tokens(self) -> int:
        """Length of the longest sequence that fits into the cache."""
        return self._decoder.most_tokens

    @property
    def problem(self) -> str:
        """Why no sequence gets a token: the thread is gone, or stuck in a step; else empty."""
        if not self._thread.is_alive():
            return "" if self._stopped else _ENDED
        still = time.monotonic() - self._moved_at
        if self._idle or still < self._stall_s:
            return ""
        return f"the engine has made no step for {still:.0f} s"

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
        :raises ServerError: the engine has ended.
        """
        self.check_room(sequence, sequence.token_budget)
        if not self._thread.is_alive():
            raise ServerError(_ENDED)
        with self._changed:
            self._scheduler.sequences.append(sequence)
            self._changed.notify_all()

    def set_budget(self, sequence: SequenceState, tokens: int, *, return_certainty: bool) -> None:
        """Let a sequence generate this many tokens in all."""
        with self._changed:
            sequence.token_budget, sequence.return_certainty = tokens, return_certainty
            self._changed.notify_all()

    def prefill(
        self, sequence: SequenceState, tokens: Sequence[int], rows: int, *, return_states: bool
    ) -> None:
        """Append tokens to a sequence, and return the logits of its last rows.

        :raises InvalidArgument: there are more rows than a step can have.
        """
        most = MOST_ROWS // 2  # leaves rows for sequences in decode
        if rows > most:
            raise InvalidArgument(f"at most {most} rows can be returned at once; got {rows}")
        with self._changed:
            sequence.tokens.extend(tokens)
            sequence.logit_rows, sequence.state_rows = rows, rows if return_states else 0
            self._changed.notify_all()

    def close(self, sequence: SequenceState) -> None:
        """End a sequence; its pages are free before the next step. Safe to call twice."""
        with self._changed:
            sequence.closed = True
            self._changed.notify_all()
        if sequence.sampler is not None:
            sequence.sampler.close()

    def reset_prefix_cache(self) -> None:
        """Forget the prefixes of closed sequences, before the next one is scheduled."""
        with self._changed:
            self._scheduler.resets_cache = True

    def stop(self) -> None:
        """End the thread after the current step; open sequences get an error."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:  # which may drop the last user
            self._thread.join()  # the interpreter must not end while it computes

    def next_output(
        self, sequence: SequenceState, should_stop: Callable[[], None]
    ) -> SampledToken | PrefillOutput:
        """Wait for the next output of a sequence, calling ``should_stop`` meanwhile.

        :raises ExpertRAGError: the sequence has failed, or the engine has ended.
        """
        while True:
            should_stop()
            ended = sequence.closed or not self._thread.is_alive()  # before the queue is empty
            try:
                output = sequence.outputs.get(timeout=0 if ended else _POLL_S)
            except queue.Empty:
                if ended:
                    raise sequence.error or _failure() from None
                continue
            if isinstance(output, Exception):
                raise output
            return output

    def check_integrity(self) -> tuple[str, ...]:
        """Wait until nothing is left to do; return what is inconsistent then, in words.

        Every page is held by the sequences whose tables have it, cached or free. No closed sequence
        is left, and the counters do not contradict each other.
        """
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._at_rest() or not self._thread.is_alive())
            return tuple(self._scheduler.differences())

    def _at_rest(self) -> bool:
        unread = any(sequence.closed for sequence in self._scheduler.sequences)
        return self._idle and not unread and not self._scheduler.resets_cache

    def _run(self) -> None:
        while True:
            try:
                if not self._turn():
                    return
            except BaseException as error:  # nothing may end this thread but stop
                self._recover(error)

    def _turn(self) -> bool:
        """Draw what constraints let draw, and run a step, or wait; False at the end."""
        self._drawings = self._draw(self._drawings)
        with self._changed:
            if self._stopped:
                self._end_all(ServerError("the model is being unloaded"))
                return False
            self._batches.prefer_experts(self._scheduler.sequences)
            parts = self._scheduler.schedule()
            if self._doubted:
                self._doubted = False
                self._scheduler.repair()
            failed = self._scheduler.failed.copy()
            self._scheduler.failed.clear()
            if not (parts or failed):
                self._wait()
                return True
        for sequence, error in failed:
            self._fail(sequence, error)
            self._doubted = True  # even after a typed error: pages were being moved
        if parts:
            self._distribute(self._batches.run_guarded(parts, self._fail))
            self._moved_at = time.monotonic()
        return True

    def _wait(self) -> None:
        """Wait for a caller or a constraint, with the lock; idle if no sequence can run."""
        runnable = any(sequence.runnable for sequence in self._scheduler.sequences)
        if not runnable:
            self._scheduler.check_idle()
        self._idle = not runnable
        self._changed.notify_all()
        wait_s = _SLOW_POLL_S if self._drawings else _RETRY_S if runnable else None
        self._changed.wait(wait_s)
        if self._idle:
            self._moved_at = time.monotonic()
        self._idle = False

    def _distribute(self, results: Sequence[PartOutput]) -> None:
        """Hand out the results of a step, and draw."""
        drawings: list[Drawing] = []
        weak_logits: torch.Tensor | None = None
        for result in results:
            part = result.part
            try:
                drawing = self._receive(result, weak_logits)
            except BaseException as error:
                self._fail(part.owner, error)
                continue
            weak_logits = result.logits if isinstance(part.sequence, WeakSequence) else None
            if drawing is not None:
                part.sequence.drawing = drawing
                drawings.append(drawing)
        self._drawings += self._draw(drawings, wait_s=_GRACE_S)

    def _receive(self, result: PartOutput, weak_logits: torch.Tensor | None) -> Drawing | None:
        """Take the result of one part; return what the sequence can draw from it, if anything."""
        part, sequence = result.part, result.part.sequence
        last, prefilled = part.last, sequence.logit_rows > 0
        returned = last and (prefilled or sequence.state_rows > 0)
        with self._changed:  # before the output, which may bring the next prefill at once
            self._scheduler.advance(part)
        if returned:
            sequence.outputs.put(PrefillOutput(result.logits, result.states))
        if not last or prefilled or isinstance(sequence, WeakSequence):
            return None
        contrasted = weak_logits if sequence.weak else None
        return Drawing(part, result.logits, contrasted, self._changed, self.counters)

    def _draw(self, drawings: Sequence[Drawing], wait_s: float = 0.0) -> list[Drawing]:
        """Draw tokens; return what waits for a constraint even after some time."""
        left = [drawing for drawing in drawings if not self._ends(drawing)]
        if not wait_s:
            return left
        until = time.monotonic() + wait_s
        return [drawing for drawing in left if not self._ends(drawing, until)]

    def _ends(self, drawing: Drawing, until: float = 0.0) -> bool:
        """Draw what can be drawn, or soon; True if nothing is left to draw.

        :param until: how long to wait for a constraint that is seldom slow.
        """
        sequence = drawing.sequence
        try:
            if not drawing.finish(until):
                return False
            with self._changed:
                sequence.drawing = None
                self._scheduler.tables.register(sequence)
        except BaseException as error:  # a constraint that proves too complex, or a panic in Rust
            self._fail(sequence, error)
        return True

    def _fail(self, sequence: SequenceState, error: BaseException) -> None:
        """End a sequence with an error for its caller; log what is not the caller's fault."""
        if not isinstance(error, ExpertRAGError):
            _log.error("a sequence failed in the model", exc_info=error)
            self._doubted = True
        self._end(sequence, _error_for_client(error))

    def _end(self, sequence: SequenceState, error: Exception) -> None:
        with self._changed:
            sequence.closed, sequence.drawing = True, None
            sequence.error = sequence.error or error
        try:
            sequence.outputs.put(error)
            if sequence.sampler is not None:
                sequence.sampler.close()
        except BaseException as failure:  # who waits finds the error in the sequence
            _log.error("a sequence could not be ended", exc_info=failure)

    def _end_all(self, error: Exception) -> None:
        self._drawings = []
        for sequence in list(self._scheduler.sequences):
            self._end(sequence, error)

    def _recover(self, error: BaseException) -> None:
        """End all open sequences after an error that no guard expected; start with no page."""
        try:
            _log.critical("the engine failed; it goes on without its sequences", exc_info=error)
            with self._changed:
                self._end_all(_error_for_client(error))
                self._scheduler.reset()
        except BaseException:  # the next turn fails as well, and comes here again
            _log.critical("the engine cannot recover", exc_info=True)
        time.sleep(_BACKOFF_S)


def _failure() -> ServerError:
    return ServerError("the model failed; the server's log has the cause", reason="INTERNAL")


def _error_for_client(error: BaseException) -> ExpertRAGError:
    """Return the error that a client gets: typed, without the text of an unexpected one."""
    if isinstance(error, ExpertRAGError):
        return error
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return Overloaded("out of memory; ask again later or shorten the prompt")
    return _failure()
