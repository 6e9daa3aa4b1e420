"""Turn a reader's reply into an answer: withhold its abstention, convert markers to citations.

A marker of a passage that does not support the answer is corrected if another passage does.

The text of a plain model passes through unchanged, and so does any constrained text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from expertrag.answer.abstain import believes_refusal
from expertrag.answer.refusals import may_refuse, refuses
from expertrag.api.events import DeltaEvent
from expertrag.api.folding import join_deltas
from expertrag.api.types import FinishReason, Sampling
from expertrag.api.validation import invalid
from expertrag.grounding.ground import Grounding
from expertrag.llm.base import Session
from expertrag.llm.prompt import NEXT_PASSAGE, NOT_FOUND, Reply

_MAY_MARK = re.compile(r"\s*(?:\[\d+\][,;]?\s*)*(?:\[\d*)?|\s*(?:\[\d+\][,;]?\s*)+\.?\s*")


def reply_sampling(sampling: Sampling, *, reader: bool) -> Sampling:
    """Return the sampling of an open-book answer, which stops where another passage would follow.

    A reader copies text, so it gets no frequency penalty ("1999" has three nines) unless the caller
    sets one.
    """
    penalty = sampling.frequency_penalty
    if reader and penalty is None:
        penalty = 0.0
    return replace(sampling, stop=(*sampling.stop, NEXT_PASSAGE), frequency_penalty=penalty)


def check_answered(text: str, session: Session) -> None:
    """Check that a model's tokens were not all used before its answer began.

    :raises InvalidArgument: they were, for example by thoughts that are not shown.
    """
    if session.finish_reason is FinishReason.LENGTH and not text.strip():
        raise invalid(
            "max_tokens",
            f"the model used all {session.completion_tokens} tokens before its answer began, for "
            "example on thoughts; allow more, or turn thinking off on the model server",
        )


class ReplyStream:
    """The pieces of an answer as they come, without its final markers; none for an abstention.

    After the iteration, ``abstained`` says whether it was an abstention, and ``markers`` holds the
    final markers.
    """

    def __init__(
        self,
        deltas: Iterator[DeltaEvent],
        *,
        reader: bool,
        p_sufficient: Callable[[], float | None] | None = None,
    ) -> None:
        """Read the pieces of an answer.

        :param p_sufficient: returns the probability that the passages hold the answer, once there
            is a piece; None if unknown. If given, refusals in the model's own words are withheld
            when the probability confirms them.
        """
        self.abstained = False
        self.markers: list[DeltaEvent] = []
        self._deltas = deltas
        self._reader = reader
        self._p_sufficient = p_sufficient

    def __iter__(self) -> Iterator[DeltaEvent]:
        """Yield the pieces; the first ones are buffered while they may become an abstention."""
        held: list[DeltaEvent] = []
        for delta in self._deltas:
            held.append(delta)
            text = join_deltas(held).text.lstrip()
            if self._reader and not Reply.of(text).has_answer:
                self.abstained = True
                return
            begins = self._reader and NOT_FOUND.startswith(text)
            if not begins and not (may_refuse(text) and self._believes_refusal):
                break
        if held and refuses(join_deltas(held).text) and self._believes_refusal:
            self.abstained = True
            return
        for delta in chain(held, self._deltas):
            self.markers.append(delta)
            if not (self._reader and _MAY_MARK.fullmatch(join_deltas(self.markers).text)):
                yield from self.markers
                self.markers.clear()

    @property
    def _believes_refusal(self) -> bool:
        """Whether to believe a refusal."""
        if self._p_sufficient is None:
            return False
        return believes_refusal(self._p_sufficient())


def mark_citations(markers: Sequence[DeltaEvent], grounding: Grounding) -> Sequence[DeltaEvent]:
    """Return the markers of the citations: the generated ones if they are the same.

    Corrected markers have no log probabilities, since they were not sampled.
    """
    written = Reply.of(join_deltas(markers).text).cited
    cited = tuple(dict.fromkeys(citation.passage for citation in grounding.citations))
    if not written or not cited or {*written} == {*cited}:
        return markers
    return [DeltaEvent(Reply("", cited).text)]


def draft_of(text: str) -> str:
    """Return a reader's reply as a draft for the next search: no markers, no abstention."""
    reply = Reply.of(text)
    return reply.answer if reply.has_answer else ""
