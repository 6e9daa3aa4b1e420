"""Draw the tokens that a step lets a sequence sample: one, and more while its drafts come true."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager
from typing import Any

import torch

from expertrag.llm.engine.sequences import Counters, SampledToken
from expertrag.llm.engine.step import Scheduled
from expertrag.llm.logprobs import Ranked
from expertrag.llm.sampling import Sampler, certainty


class Drawing:
    """The rows of a step from which a sequence draws.

    Between two rows, the process of a constraint follows the token; the sequence waits, others run.
    A token counts, and its session gets it, only once the constraint has accepted it.
    """

    def __init__(
        self,
        part: Scheduled,
        logits: torch.Tensor,
        weak_logits: torch.Tensor | None,
        lock: AbstractContextManager[Any],
        counters: Counters,
    ) -> None:
        """Begin with the first row.

        :param logits: (1 + drafts, V).
        :param weak_logits: of the same rows of the weak side.
        :param lock: guards what callers change of the sequence.
        """
        assert part.sequence.sampler is not None, "sequences that sample have one"
        self.sequence = part.sequence
        self._sampler: Sampler = part.sequence.sampler
        self._drafts = part.drafts
        self._logits = logits
        self._weak_logits = weak_logits
        self._lock = lock
        self._counters = counters
        self._place = 0
        self._accepted = 0
        self._drawn: SampledToken | None = None

    @property
    def slow(self) -> bool:
        """Whether it is probably not ready soon."""
        return self._sampler.slow

    def wait(self, seconds: float) -> None:
        """Wait until :meth:`proceed` can go on, so long at most."""
        self._sampler.wait(seconds)

    def finish(self, until: float) -> bool:
        """Draw all tokens, or none more once the sequence is closed; False if that takes long.

        :param until: how long to wait for a constraint that is seldom slow, by the monotonic clock.
        """
        while not (self.sequence.closed or self.proceed()):
            rest_s = until - time.monotonic()
            if self.slow or rest_s <= 0:
                return False
            self.wait(rest_s)
        return True

    @torch.inference_mode()
    def proceed(self) -> bool:
        """Draw until the constraint has to follow; True if all is drawn.

        :raises Exception: the constraint cannot be satisfied, or the model computed no number.
        """
        while self._sampler.ready:
            if self._drawn is None:
                self._draw()
            elif not self._take(self._drawn):
                return True
        return False

    def _draw(self) -> None:
        sequence, row = self.sequence, self._logits[self._place]
        weak_row = None if self._weak_logits is None else self._weak_logits[self._place]
        certain = certainty(row) if sequence.return_certainty else None
        token = self._sampler.draw(row, weak_row)
        if not 0 <= token < len(row) or not math.isfinite(row[token]):
            raise ValueError("a token was drawn that the model gives no probability")
        ranked = None if sequence.logprobs is None else Ranked.of(row, token, sequence.logprobs)
        self._drawn = SampledToken(token, certain, ranked, token in sequence.end_tokens)

    def _take(self, drawn: SampledToken) -> bool:
        """Add a drawn token to the sequence; whether the next row can be drawn as well."""
        sequence, token, ended = self.sequence, drawn.token, drawn.last
        last = ended or self._sampler.complete
        with self._lock:
            sequence.generated += 1
            if last:
                sequence.token_budget = 0
            if not ended:
                sequence.tokens.append(token)
            if sequence.weak:
                sequence.weak.generated += 1
                sequence.weak.tokens += [] if ended else [token]
        sequence.outputs.put(SampledToken(token, drawn.certainty, drawn.ranked, last))
        place, self._place, self._drawn = self._place, self._place + 1, None
        if not last and place < len(self._drafts) and token == self._drafts[place]:
            self._accepted += 1
            return True
        self._finish()
        return False

    def _finish(self) -> None:
        sequence = self.sequence
        with self._lock:
            sequence.forced = self._sampler.find_forced()
            sequence.computed += self._accepted
            if sequence.weak:
                sequence.weak.computed += self._accepted
        if self._drafts:
            sequence.lookup.observe(len(self._drafts), self._accepted)
            self._counters.draft_tokens += len(self._drafts)
            self._counters.accepted_tokens += self._accepted
