"""Passages one at a time, each alone in its prompt; all in one where none may hold the answer.

Before an answer is written, a probe or the reader's first token tells how likely it is that the
passages of the prompt do not hold it (the doubt). A passage comes right after the instructions, so
that its keys and values serve every later question about it (prefix caching).
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

# Right answers to 103 office questions and to 96 train questions of five sets, in a store of 13
# sources, five passages: the best one alone .56 and .56, all together .72 and .67, the best one
# where its doubt is below .25 and else all .71 and .67, this .76 and .68; smollm2-135m-reader the
# best one and else all .32 and .46, this .31 and .46. The passage that is chosen holds the answer
# to .83 of the office's, the best one to .63, any one to .87.
SURE_OF_BEST = 0.1
"""Doubt below which the best passage answers, and no other one is looked at."""

SURE = 0.25
"""Doubt below which the passage that is chosen among several answers alone."""

HOPELESS = 0.7
"""Where every passage is doubted by more, they are not read together: the model abstains."""

SCORE_WEIGHT = 2.0
"""What 1.0 of a passage's score counts beside the log odds that it holds the answer."""

MOST_APART = 5
"""Passages that are looked at one at a time, at most."""

CHECKED = 2
"""Passages that the gate reads where it is unsure. With two of them, its AUC on the questions of
``GateConstants.unsure`` is .984, with one .976."""

_LEAST = 1e-4  # keeps log odds finite


def reads_best_first(
    generator: Generator, request: AnswerRequest, passages: Sequence[Passage], *, begun: bool
) -> bool:
    """Tell whether the best passage is read first.

    Not where an explanation may take several, or several searches were asked for; and not where
    the model's turn is not begun, as the doubt of a text in a form is not known.
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
    """Read the passages one at a time, then all of them where none is likely to hold the answer.

    :param begin: opens a session that is shown some passages.
    :param passages: best first.
    :param meter: counts the sessions that do not answer.
    :returns: the session that answers, which the caller closes, and the index of the passage that
        it is shown alone; None if it is shown all.
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
        if doubt is None:  # of a model that cannot tell
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

    :param begin: opens a session that is shown some passages.
    :param passages: best first.
    :param meter: counts the sessions.
    :returns: the least doubt; None of no passages, or of a model that cannot tell.
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
    """Log odds that a passage holds the answer, by the model and by the search."""
    held, not_held = max(1 - doubt, _LEAST), max(doubt, _LEAST)
    return math.log(held / not_held) + SCORE_WEIGHT * score
