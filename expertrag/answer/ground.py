"""Ground an answer in its passages, and judge whether it is right.

All signals are known once the answer is written. The weights are the language model's
(``expertrag.llm.confidence``). A model without weights has no probability: its answers are judged
by the words of the passages and by its doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from expertrag.answer.context import AnswerContext
from expertrag.answer.portions import PassageSession, read_again
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.types import Passage, Sampling
from expertrag.grounding.conflicts import conflict_note, passages_of
from expertrag.grounding.ground import Grounding, ground
from expertrag.llm.confidence import Confidence
from expertrag.llm.probe import Probe
from expertrag.llm.prompt import Reply
from expertrag.runtime.meter import Meter
from expertrag_retriever.gate.odds import log_odds

SIGNALS = (
    "sufficient",
    "first",
    "next",
    "agreement",
    "verified",
    "flawed",
    "covered",
    "rival",
    "value",
    "verdict",
    "explanation",
)
"""Names of the signals; see :func:`signals_of`."""

COMPARED_BELOW = 0.96
"""Probability below which an answer is compared with the one of more passages. On the office share,
that is a quarter of the answers; comparing the others as well did not raise the AUROC."""

_LEAST = 1e-4
"""Least doubt, and least certainty, whose log odds are told apart."""

_BELOW = 1e-3
"""How far below a bound a probability is set, so that the bound withholds or warns."""

_UNSURE_OF_PASSAGES = "The passages may not answer this."
_OTHERWISE_READ = "With more passages, the answer was another one."


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of an answer.

    ``support``: probability that it is right, 0 to 1. ``reason``: why to check it, in one line;
    empty if there is no reason to. ``fitted``: whether the probability is of fitted weights.
    """

    support: float
    reason: str
    fitted: bool = False


@dataclass(frozen=True, slots=True)
class GroundedAnswer:
    """The spans of passages that support an answer, and the judgement of it."""

    grounding: Grounding
    judgement: Judgement


class Grounder:
    """Grounds the answers of one language model, and judges them."""

    def __init__(self, reading: ReadingPolicy) -> None:
        self._reading = reading

    def ground(
        self,
        context: AnswerContext,
        text: str,
        reading: PassageSession,
        p_sufficient: float | None,
    ) -> GroundedAnswer:
        """Ground an answer and judge whether it is right; if not sure, after reading more.

        :param p_sufficient: probability that the passages hold the answer; None if unknown.
        """
        confidence, wrong = self._reading.confidence, None
        if confidence:
            wrong = p_wrong(confidence.verifier, reading, Reply.of(text).answer, context.meter)
        grounding = self._find_support(context, text, reading)
        judgement = judge_answer(confidence, reading, grounding, wrong, p_sufficient)
        if judgement.fitted and judgement.support < COMPARED_BELOW:
            reading = read_again(reading, text, context.meter)
            judgement = judge_answer(confidence, reading, grounding, wrong, p_sufficient)
        if judgement.fitted and not judgement.reason:
            grounding = replace(grounding, citations=grounding.sources)
        return GroundedAnswer(grounding, judgement)

    def conflict_note(
        self, context: AnswerContext, text: str, reading: PassageSession, grounding: Grounding
    ) -> str:
        """Return a note on older versions that contradict the answer, unless it is constrained."""
        if context.request.sampling.constraint is not None:
            return ""
        cited = passages_of(grounding.citations, reading.passages)
        return conflict_note(text, context.request.question, cited, reading.replaced)

    def _find_support(
        self, context: AnswerContext, text: str, reading: PassageSession
    ) -> Grounding:
        find = ground_reply if is_reply(self._reading, context.request.sampling) else ground
        alone = len(reading.shown) == 1
        passages = reading.passages if alone else reading.shown  # all tell which words are rare
        with context.meter.stage("ground"):
            return find(text, passages, context.request.question, (1,) if alone else ())


def is_reply(reading: ReadingPolicy, sampling: Sampling) -> bool:
    """Return whether a text is a reader's reply; a constrained text is not one."""
    return reading.reader and sampling.constraint is None


def ground_reply(
    text: str, passages: Sequence[Passage], question: str, named: Sequence[int] = ()
) -> Grounding:
    """Ground a reply in the passages that it cites, or in others if those do not support it.

    :param named: numbers of the passages in its prompt, if not all: the answer can only come from
        them.
    """
    reply = Reply.of(text)
    end = text.find(reply.answer) + len(reply.answer)
    return ground(text[:end], passages, question, named or reply.cited)


def p_wrong(verifier: Probe, reading: PassageSession, answer: str, meter: Meter) -> float | None:
    """Ask the model whether its answer is right; None for a constrained answer.

    The passages and the answer are in its KV cache, so this costs a prefill of the question.

    :returns: the probability that the answer is wrong.
    """
    if reading.verify is None:
        return None
    with closing(reading.verify(answer)) as session, meter.stage("verify"):
        signals = session.peek(1)
        meter.count(session)
    if signals is None or not signals.vectors:
        return None
    return verifier.probability(signals.vectors)


def signals_of(
    reading: PassageSession, grounding: Grounding, wrong: float | None
) -> Mapping[str, float] | None:
    """Return the signals of an answer; None if the model did not tell its doubt.

    ``sufficient``, ``first`` and ``next``: log odds that passages hold the answer. The passages are
    the ones that answer, the best one, and the next portion. ``agreement``: 0 to 1, whether the
    other portions give the same answer. ``verified``: log odds that the model finds it right.
    ``flawed``: 1 if a sentence is not supported. The others are the signals of
    :func:`~expertrag.grounding.coverage.coverage`.

    :param wrong: see :func:`p_wrong`.
    """
    if reading.doubt is None or wrong is None or not grounding.coverage:
        return None
    own = _odds(reading.doubt)
    return {
        "sufficient": own,
        "first": _odds(reading.first_doubt) if reading.first_doubt is not None else own,
        "next": _odds(reading.next_doubt) if reading.next_doubt is not None else own,
        "agreement": reading.agreement,
        "verified": _odds(wrong),
        "flawed": float(bool(grounding.reason)),
        **grounding.coverage,
    }


def judge_answer(
    confidence: Confidence | None,
    reading: PassageSession,
    grounding: Grounding,
    wrong: float | None = None,
    p_sufficient: float | None = None,
) -> Judgement:
    """Judge an answer by fitted weights, else by the words of the passages and the doubt.

    :param wrong: see :func:`p_wrong`.
    :param p_sufficient: probability that the passages hold the answer; None if unknown.
    """
    signals = signals_of(reading, grounding, wrong)
    if confidence is None or signals is None:
        sure = 1.0 if p_sufficient is None else p_sufficient
        return Judgement(grounding.support * sure, grounding.reason)
    probability = confidence.probability(signals)
    if grounding.coverage["foreign"] or grounding.coverage["misplaced"]:
        # no command that no document has, no neighbour's and no former value is given as theirs
        probability = min(probability, confidence.warn_below - _BELOW)
    if probability >= confidence.warn_below:
        return Judgement(probability, "", fitted=True)
    return Judgement(probability, _reason(reading, grounding), fitted=True)


def _reason(reading: PassageSession, grounding: Grounding) -> str:
    """Return why to check an answer: what the passages lack, or that more of them say otherwise."""
    # A right explanation may use words that no passage has; it may not use such an option or path.
    names_flaw = not grounding.coverage["explanation"] or grounding.coverage["foreign"]
    if grounding.reason and names_flaw:
        return grounding.reason
    return _OTHERWISE_READ if reading.agreement < 1 else _UNSURE_OF_PASSAGES


def _odds(doubt: float) -> float:
    """Return the log odds of the opposite of a probability."""
    return float(log_odds(min(max(1 - doubt, _LEAST), 1 - _LEAST)))
