"""Passages read apart, best first, each in a prompt of its own, until one holds the answer.

Before an answer is written, a probe or the reader's first token tells how likely it is that the
passage does not hold it (the doubt):

    a doubt below SURE                  that passage answers; the others are not read
    least doubt below ABSTAINS_FROM     the passage with the least doubt answers
    least doubt below TOGETHER_BELOW    all passages are read in one prompt, which decides
    least doubt above that              the answer is an abstention

A passage that is alone in its prompt follows nothing but the instructions, so that whatever was
read of it serves every later question (prefix caching).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from expertrag.prompt import ABSTAINS_FROM, asks_to_explain

if TYPE_CHECKING:
    from expertrag.generation.base import Generator, Session
    from expertrag.meter import Meter
    from expertrag.types import AnswerRequest, Passage

# 27 to 30 dev questions of a set, right all together -> apart, read to the end -> as it is: squad2
# .80, .80, .80; popqa .93, .93, .93; tatqa .40, .40, .40; pubmedqa .57, .57, .60; hotpotqa, whose
# questions take two passages, .44, .56, .63. SURE at .05 or .2: the same, but tatqa .33 at .05. By
# smollm2-135m-reader, 27 to 40 questions, all together -> as it is: .30, .45; .70, .80; .28, .25;
# .65, .57; .30, .26.
SURE = 0.1
"""Doubt below which a passage holds the answer, and no other one is read."""
TOGETHER_BELOW = 0.75
"""Doubt of the best passage below which several may hold the answer together."""


def reads_apart(
    generator: Generator, request: AnswerRequest, passages: Sequence[Passage], *, begun: bool
) -> bool:
    """Tell whether passages are read apart.

    Together, where an explanation may take several of them, or several searches were asked for;
    and where the model's turn is not begun, as the doubt of a text in a form is not known.
    """
    return (
        generator.apart
        and begun
        and request.steps == 1
        and len(passages) > 1
        and not asks_to_explain(request.question)
    )


def open_session(
    begin: Callable[[Sequence[Passage]], Session], passages: Sequence[Passage], meter: Meter
) -> tuple[Session, int | None]:
    """Read passages apart; return the session that answers, which the caller closes.

    :param begin: opens a session that is shown some passages.
    :param meter: counts the other sessions.
    :returns: also the place, from 0, of the passage that it is shown; None where it is shown all.
    """
    place, session = least_doubtful((begin((passage,)) for passage in passages), meter)
    if session.doubt is None or not ABSTAINS_FROM <= session.doubt < TOGETHER_BELOW:
        return session, place
    meter.count(session)
    session.close()
    return begin(passages), None


def least_doubtful(sessions: Iterable[Session], meter: Meter) -> tuple[int, Session]:
    """Read one prompt after the other until one is sure; return it, or the least doubtful one.

    The others are counted and closed. Of equal doubts the first counts.

    :param sessions: at least one; each is opened when none before it was sure.
    :returns: the place, from 0, and the session, which the caller closes.
    """
    read: list[tuple[float, int, Session]] = []
    with ExitStack() as opened:
        for place, session in enumerate(sessions):
            opened.callback(session.close)
            doubt = session.look()
            read.append((1.0 if doubt is None else doubt, place, session))
            if read[-1][0] < SURE:
                break
        opened.pop_all()
    best = min(read, key=lambda item: item[:2])
    for item in read:
        if item is not best:
            meter.count(item[2])
            item[2].close()
    return best[1:]
