"""Read passages until they are likely to hold the answer: the best one, then three, then all.

If all of these leave it in doubt, the answer that most of them give is taken.

The doubt is the probability that the passages of the prompt do not hold the answer. A probe or the
reader's first token gives it before the answer is generated. Passages come right after the
instructions, best first, so that each longer prompt begins with the one before. Its KV cache pages
are reused: reading on costs only the passages that are new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from expertrag.api.folding import join_deltas
from expertrag.api.types import QuestionScope
from expertrag.grounding.agreement import agree
from expertrag.llm.prompt import ABSTAINS_FROM, Reply, asks_to_explain

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.answer.reading_policy import ReadingPolicy
    from expertrag.api.events import DeltaEvent
    from expertrag.api.types import Passage
    from expertrag.llm.base import Session
    from expertrag.runtime.meter import Meter

# Share of right answers to 100 questions of the choose half of lab/benchmarks/office (facts, yes or
# no, how to, several documents), five passages: the best one .67, three .69, five .69, those with
# the lowest doubt of the three prompts .74. Stopping below a doubt of .05, .1 and .15: .74 with 3.1
# passages read on average, .74 with 2.9, and .73 with 2.5. Of 213 questions of all kinds, the
# answer with the lowest doubt was right for .836, the one of most portions for .850.
SURE = 0.1
"""Doubt below which the passages that are read answer, and no further ones are read."""

CERTAIN = 0.04
"""Doubt below which an answer is not compared with the one of more passages: half of the answers of
the office share. Comparing these answers as well did not raise the AUROC of right against wrong."""

SEVERAL = (QuestionScope.TWO_HOPS, QuestionScope.COMPARE)
"""Scopes of which one passage seldom holds the answer."""

PORTIONS = (1, 3)
"""Numbers of passages that are read before all of them."""

_COMPARED = 16
"""Pieces of an answer that are compared, about its tokens."""

CHECKED = 2
"""Passages that the gate reads if it is unsure. Its AUC on the questions of
``GateConstants.unsure`` is .984 with two, .976 with one."""


def reads_in_portions(
    reading: ReadingPolicy, context: AnswerContext, passages: Sequence[Passage], *, begun: bool
) -> bool:
    """Return whether to read the passages in portions.

    Not for what may need several passages: an explanation, two hops, several searches. Also not
    if the model's turn is not started in the prompt, because the doubt of a constrained text is
    unknown.
    """
    request = context.request
    return (
        reading.best_first
        and begun
        and request.steps == 1
        and context.scope not in SEVERAL
        and len(passages) > 1
        and not asks_to_explain(request.question)
    )


Begin = Callable[[Sequence["Passage"]], "Session"]
"""Opens a session with some passages in its prompt."""

Verify = Callable[[str], "Session"]
"""Opens a session that asks whether an answer is right."""


@dataclass(frozen=True, slots=True)
class PassageSession:
    """The session that answers from passages.

    ``shown``: passages in its prompt, the first of ``passages``. ``deltas``: the pieces of its
    answer. ``agreement``: share of the other portions whose answers say the same; 1 if no other was
    compared. ``first_doubt`` and ``next_doubt``: of the best passage, and of the next portion; None
    if it was not read. ``begin`` opens a session with other passages; None if they are not read in
    portions. ``verify`` opens one that asks whether an answer is right; None if it is constrained.
    ``replaced``: pairs of a passage of an older version and the one in force. ``corrected``: the
    closed session whose answer the session corrects, if it does.
    """

    session: Session
    passages: Sequence[Passage]
    shown: Sequence[Passage]
    deltas: Iterator[DeltaEvent]
    agreement: float = 1.0
    first_doubt: float | None = None
    next_doubt: float | None = None
    begin: Begin | None = None
    verify: Verify | None = None
    replaced: Sequence[tuple[Passage, Passage]] = ()
    corrected: Session | None = None

    @property
    def doubt(self) -> float | None:
        """Probability that the passages do not hold the answer; see :attr:`Session.doubt`."""
        return (self.corrected or self.session).doubt

    @property
    def may_answer(self) -> bool:
        """Whether the passages may hold the answer, or the model cannot tell."""
        return self.doubt is None or self.doubt < ABSTAINS_FROM

    @property
    def p_sufficient(self) -> float | None:
        """Probability that the passages hold the answer; None if unknown."""
        return None if self.doubt is None else 1 - self.doubt

    @classmethod
    def of(cls, session: Session, passages: Sequence[Passage]) -> PassageSession:
        """Answer from all passages, without a comparison."""
        return cls(session, passages, passages, session.deltas())


def open_session(begin: Begin, passages: Sequence[Passage], meter: Meter) -> PassageSession:
    """Read passages in portions until the doubt is low; else give the answer that most agree on.

    :param begin: opens a session with some passages in its prompt.
    :param passages: best first.
    :param meter: counts the sessions that do not answer.
    :returns: the session that answers, which the caller closes.
    """
    read: list[_Portion] = []
    with ExitStack() as opened:
        for shown in _portions(passages):
            session = begin(shown)
            opened.callback(session.close)
            doubt = session.look()
            if doubt is None:  # the model cannot tell
                meter.count(session)
                return PassageSession.of(begin(passages), passages)
            read.append(_Portion(doubt, session, shown))
            if doubt < SURE:
                break
        chosen, agreement = _choose(read)
        opened.pop_all()
    for portion in read:
        if portion is not chosen:
            meter.count(portion.session)
            portion.session.close()
    return PassageSession(
        chosen.session,
        passages,
        chosen.shown,
        chosen.deltas,
        agreement,
        first_doubt=read[0].doubt,
        next_doubt=next((p.doubt for p in read if len(p.shown) > len(chosen.shown)), None),
        begin=begin,
    )


def read_again(reading: PassageSession, answer: str, meter: Meter) -> PassageSession:
    """Compare an answer with the one that the next portion of the passages gives.

    An answer in doubt has been compared already, and one beyond doubt is not. Nor is a corrected
    answer: with more passages, the model may give the former value again.

    :param meter: counts the session.
    """
    doubt = reading.doubt
    more = [shown for shown in _portions(reading.passages) if len(shown) > len(reading.shown)]
    if reading.begin is None or reading.corrected or not more:
        return reading
    if doubt is None or not CERTAIN <= doubt < SURE:
        return reading
    with closing(reading.begin(more[0])) as session, meter.stage("verify"):
        next_doubt = session.look()
        other = "" if next_doubt is None else _Portion(next_doubt, session, more[0]).draft()
        meter.count(session)
    if next_doubt is None:
        return reading
    agrees = next_doubt < ABSTAINS_FROM and agree(Reply.of(answer).answer, other)
    return replace(reading, agreement=float(agrees), next_doubt=next_doubt)


class _Portion:
    """A session that has read some passages, with the beginning of its answer."""

    def __init__(self, doubt: float, session: Session, shown: Sequence[Passage]) -> None:
        self.doubt, self.session, self.shown = doubt, session, shown
        self.deltas = session.deltas()

    def draft(self) -> str:
        """Generate the beginning of the answer, without its markers; ``deltas`` keeps it."""
        begun = list(islice(self.deltas, _COMPARED))
        self.deltas = chain(begun, self.deltas)
        return Reply.of(join_deltas(begun).text).answer


def _choose(read: Sequence[_Portion]) -> tuple[_Portion, float]:
    """Return the portion that answers, and the share of the others whose answers say the same.

    That is the one with the lowest doubt, if it is low or nothing else may answer.
    """
    surest = min(read, key=lambda portion: portion.doubt)
    answering = [portion for portion in read if portion.doubt < ABSTAINS_FROM]
    if surest.doubt < SURE or len(read) == 1 or not answering:
        return surest, 1.0
    drafts = [portion.draft() for portion in answering]
    votes = [sum(agree(draft, other) for other in drafts) for draft in drafts]
    best = min(range(len(drafts)), key=lambda at: (-votes[at], answering[at].doubt))
    return answering[best], (votes[best] - 1) / (len(read) - 1)


def _portions(passages: Sequence[Passage]) -> Iterator[Sequence[Passage]]:
    """Yield the best passages in growing numbers, at last all."""
    for count in PORTIONS:
        if count < len(passages):
            yield passages[:count]
    yield passages


def least_doubt(
    begin: Callable[[Sequence[Passage]], Session], passages: Sequence[Passage], meter: Meter
) -> float | None:
    """Read passages one at a time until one is likely to hold the answer.

    :param begin: opens a session with some passages in its prompt.
    :param passages: best first.
    :param meter: counts the sessions.
    :returns: the lowest doubt; None without passages, or if the model cannot tell.
    """
    least: float | None = None
    for passage in passages:
        with closing(begin([passage])) as session:
            doubt = session.look()
            meter.count(session)
        if doubt is None:
            return None
        least = doubt if least is None else min(least, doubt)
        if least < ABSTAINS_FROM:
            break
    return least
