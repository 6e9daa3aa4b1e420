"""Read passages one at a time, each alone in a prompt; all together if none may hold the answer.

Before an answer is generated, a probe or the reader's first token gives the probability that the
passages of the prompt do not hold it (the doubt). A passage comes right after the instructions, so
that its KV cache pages serve every later question about it (prefix caching).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from expertrag.llm.prompt import ABSTAINS_FROM, asks_to_explain

if TYPE_CHECKING:
    from expertrag.api.types import AnswerRequest, Passage
    from expertrag.llm.base import Generator, Session
    from expertrag.runtime.meter import Meter

# Share of right answers to 103 office questions and to 96 train questions of five sets, in a store
# of 13 sources, with five passages: the best one alone .56 and .56, all together .72 and .67, the
# best one if its doubt is below .25 and else all .71 and .67, this .76 and .68. For
# smollm2-135m-reader: the best one and else all .32 and .46, this .31 and .46. The chosen passage
# holds the answer to .83 of the office questions, the best one to .63, any one to .87.
SURE_OF_BEST = 0.1
"""Doubt below which the best passage answers, and no other one is read."""

SURE = 0.25
"""Doubt below which the passage chosen among several answers alone."""

HOPELESS = 0.7
"""If the doubt of every passage is higher, they are not read together: the model abstains."""

SCORE_WEIGHT = 2.0
"""Weight of a passage's search score, added to the log odds that it holds the answer."""

MOST_APART = 5
"""Maximum number of passages that are read one at a time."""

CHECKED = 2
"""Passages that the gate reads if it is unsure. Its AUC on the questions of
``GateConstants.unsure`` is .984 with two, .976 with one."""

_LEAST = 1e-4  # keeps log odds finite


def reads_best_first(
    generator: Generator, request: AnswerRequest, passages: Sequence[Passage], *, begun: bool
) -> bool:
    """Return whether to read the best passage first.

    Not for an explanation, which may need several passages, and not for several searches. Also not
    if the model's turn is not started in the prompt, because the doubt of a constrained text is
    unknown.
    """
    return (
        generator.best_first
        and begun
        and request.steps == 1
        and len(passages) > 1
        and not asks_to_explain(request.question)
    )


def open_session(
    begin: Callable[[Sequence[Passage]], Session], passages: Sequence[Passage], meter: Meter
) -> tuple[Session, int | None]:
    """Read the passages one at a time, then all of them if none is likely to hold the answer.

    :param begin: opens a session with some passages in its prompt.
    :param passages: best first.
    :param meter: counts the sessions that do not answer.
    :returns: the session that answers, which the caller closes, and the index of its only passage;
        None if it has all passages.
    """
    doubts: list[float] = []
    for passage in passages[:MOST_APART]:
        with ExitStack() as opened:
            session = begin([passage])
            opened.callback(session.close)
            doubt = session.look()
            if not doubts and doubt is not None and doubt < SURE_OF_BEST:
                opened.pop_all()
                return session, 0
            meter.count(session)
        if doubt is None:  # the model cannot tell
            return begin(passages), None
        doubts.append(doubt)
    chosen = max(range(len(doubts)), key=lambda at: _evidence(doubts[at], passages[at].score))
    if doubts[chosen] < SURE or min(doubts) > HOPELESS:
        return begin([passages[chosen]]), chosen
    return begin(passages), None


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


def _evidence(doubt: float, score: float) -> float:
    """Return the log odds that a passage holds the answer, by the model and the search score."""
    held, not_held = max(1 - doubt, _LEAST), max(doubt, _LEAST)
    return math.log(held / not_held) + SCORE_WEIGHT * score
