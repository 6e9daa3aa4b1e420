"""Open the sessions of one answer: closed book, from passages, for drafts, and for checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from expertrag.answer.correction import correct_former_value
from expertrag.answer.portions import (
    SEVERAL,
    PassageSession,
    least_doubt,
    open_session,
    reads_in_portions,
)
from expertrag.answer.reply import draft_of, reply_sampling
from expertrag.api.contrast import WeakSide
from expertrag.api.types import AnswerRequest, GateMode, Passage, Sampling
from expertrag.grounding.versions import PassagePair
from expertrag.llm import prompt

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.answer.reading_policy import ReadingPolicy
    from expertrag.llm.base import Generator, Message, Session
    from expertrag.llm.sequence_policy import SequencePolicy

DRAFT_TOKENS = 32
"""Maximum length of a draft answer, in tokens."""


def write_draft(
    context: AnswerContext, generator: Generator, messages: Sequence[Message], sampling: Sampling
) -> str:
    """Let the language model write a query, a calculation, or the parts of a question."""
    policy = generator.make_policy(sampling, context.route.answers, context.policy.salt)
    with closing(generator.begin(messages, sampling, context.should_stop, policy)) as session:
        text = "".join(context.meter.stream("draft", session.stream()))
        context.meter.count(session)
    return text


class Sessions:
    """Opens sessions of a language model; the caller closes them."""

    def __init__(self, generator: Generator, reading: ReadingPolicy) -> None:
        self._generator = generator
        self._reading = reading
        self._family = prompt.FAMILIES[generator.family]

    def open_closed_book(self, context: AnswerContext) -> Session:
        """Open the session of a closed-book answer."""
        return self._begin(context, context.closed_book, context.request.sampling)

    def pack(self, request: AnswerRequest, passages: Sequence[Passage]) -> prompt.Packed:
        """Keep the best passages that fit the context.

        :raises InvalidArgument: if not even the best one fits.
        """
        added = prompt.ADDED_TOKENS if self._reading.confidence else 0
        return prompt.pack(
            request.question,
            passages,
            self._generator.count_tokens,
            self._generator.context_tokens - request.sampling.max_tokens - added,
            self._family,
            request.instructions,
        )

    def draft(self, context: AnswerContext, passages: Sequence[Passage]) -> str:
        """Generate a draft answer from passages, for the next search."""
        request, meter = context.request, context.meter
        sampling = replace(
            reply_sampling(request.sampling, reader=self._reading.reader),
            max_tokens=min(request.sampling.max_tokens, DRAFT_TOKENS),
            constraint=None,  # constrains the answer, not the drafts
            logprobs=None,
        )
        messages = prompt.open_book(
            request.question, self.pack(request, passages).kept, family=self._family
        )
        with closing(self._begin(context, messages, sampling, from_passages=True)) as session:
            text = "".join(meter.stream("generate", session.stream()))
            meter.count(session)
        return draft_of(text) if self._reading.reader else text

    def least_doubt(self, context: AnswerContext, passages: Sequence[Passage]) -> float | None:
        """Read passages one at a time; return the lowest doubt that one holds the answer.

        :param passages: they fit the context.
        """
        sampling = replace(context.request.sampling, constraint=None, logprobs=None, contrast=None)

        def begin(shown: Sequence[Passage]) -> Session:
            context.should_stop()
            messages = prompt.open_book(context.request.question, shown, family=self._family)
            return self._begin(context, messages, sampling, from_passages=True)

        return least_doubt(begin, passages, context.meter)

    def doubt_alone(self, context: AnswerContext, passage: Passage) -> float | None:
        """Return the doubt that a passage alone holds the answer; None if it cannot be told."""
        context.should_stop()
        if not self.pack(context.request, [passage]).kept:
            return None
        with closing(self.open_book(context, [passage]).session) as session:
            doubt = session.look()
            context.meter.count(session)
        return doubt

    def open_book(
        self,
        context: AnswerContext,
        passages: Sequence[Passage],
        outdated: Sequence[PassagePair] = (),
    ) -> PassageSession:
        """Open the session that answers from passages, in portions if the question allows it.

        :param passages: they fit the context, best first.
        :param outdated: pairs of an earlier passage and one that changes what it says.
        """
        request = context.request
        begun = request.sampling.constraint is None
        sampling = reply_sampling(request.sampling, reader=self._reading.reader)
        prompt_of = partial(
            prompt.open_book,
            request.question,
            strict=request.mode is GateMode.STRICT,
            family=self._family,
            begun=begun,
            instructions=request.instructions,
            sentence=context.scope in SEVERAL,
        )
        contrast = sampling.contrast
        bare = prompt_of(()) if contrast and contrast.weak is WeakSide.NO_PASSAGES else None

        def begin(shown: Sequence[Passage]) -> Session:
            return self._begin(
                context, prompt_of(shown), sampling, from_passages=True, without_passages=bare
            )

        if reads_in_portions(self._reading, context, passages, begun=begun):
            with context.meter.stage("generate"):
                reading = open_session(begin, passages, context.meter)
        else:
            reading = PassageSession.of(begin(passages), passages)
        if not begun:
            return reading
        asked = partial(prompt_of, reading.shown)
        return self._with_checks(context, reading, asked, sampling, outdated)

    def _with_checks(
        self,
        context: AnswerContext,
        reading: PassageSession,
        asked: Callable[[], list[Message]],
        sampling: Sampling,
        outdated: Sequence[PassagePair],
    ) -> PassageSession:
        """Add what checks an answer after it is written, and corrects a former value in it.

        :param asked: returns the prompt that is answered. Neither it nor a check holds a session: a
            cycle would keep the generation of the store open.
        """
        one = Sampling(max_tokens=1, adapter=sampling.adapter)

        def verify(answer: str) -> Session:
            salt = context.policy.salt
            policy = self._generator.make_policy(one, context.route.answers, salt)
            return self._begin(context, prompt.verification(asked(), answer), one, policy)

        def ask_again(answer: str, sentence: str, tokens: int) -> Session:
            left = max(1, sampling.max_tokens - tokens)
            again = replace(sampling, max_tokens=left, contrast=None)
            return self._begin(context, prompt.correction(asked(), answer, sentence), again)

        reading = replace(reading, verify=verify)
        if self._reading.confidence:
            question = context.request.question
            reading = correct_former_value(reading, question, ask_again, context.meter, outdated)
        return reading

    def _begin(
        self,
        context: AnswerContext,
        messages: Sequence[Message],
        sampling: Sampling,
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
        without_passages: Sequence[Message] | None = None,
    ) -> Session:
        return self._generator.begin(
            messages,
            sampling,
            context.should_stop,
            policy or context.policy,
            from_passages=from_passages,
            without_passages=without_passages,
        )
