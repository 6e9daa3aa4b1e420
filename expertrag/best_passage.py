"""The best passage first, alone in its prompt: where it holds the answer, no other one is read.

Before an answer is written, a probe or the reader's first token tells how likely it is that the
passage does not hold it (the doubt). Where that is not small, all passages are read in one prompt,
which begins as the first one did, so that the best passage is not read twice (prefix caching).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from expertrag.prompt import asks_to_explain

if TYPE_CHECKING:
    from expertrag.generation.base import Generator, Session
    from expertrag.meter import Meter
    from expertrag.types import AnswerRequest, Passage

# Mean of right answers over the dev questions of five sets, 27 to 40 of each: .05 .63, .1 .64,
# .25 .64, .5 .62, all together .63; of smollm2-135m-reader .46, .47, .48, .48, .44. One passage
# after the other until one holds the answer: .67 and .47, for 2.5 and 3.0 passages an answer where
# this reads 2.1 and 2.2, and STRICT withheld .44 of hotpotqa's answers, .15 here.
SURE = 0.25
"""Doubt below which the best passage holds the answer, and no other one is read."""


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
) -> tuple[Session, bool]:
    """Read the best passage, then all of them where it may not hold the answer.

    :param begin: opens a session that is shown some passages.
    :param passages: best first.
    :param meter: counts the session that does not answer.
    :returns: the session that answers, which the caller closes, and whether it is shown the best
        passage alone.
    """
    with ExitStack() as opened:
        session = begin(passages[:1])
        opened.callback(session.close)
        doubt = session.look()
        if doubt is not None and doubt < SURE:
            opened.pop_all()
            return session, True
        meter.count(session)
    return begin(passages), False
