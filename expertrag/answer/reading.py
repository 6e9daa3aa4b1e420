"""Read passages until they are likely to hold the answer: the best one, then three, then all.

Before an answer is generated, a probe or the reader's first token gives the probability that the
passages of the prompt do not hold it (the doubt). Passages come right after the instructions, best
first, so that each longer prompt begins with the one before: its KV cache pages are reused, and
reading on costs only the passages that are new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from expertrag.llm.prompt import ABSTAINS_FROM, asks_to_explain

if TYPE_CHECKING:
    from expertrag.api.types import AnswerRequest, Passage
    from expertrag.llm.base import Generator, Session
    from expertrag.runtime.meter import Meter

# Share of right answers to 100 questions of the choose half of benchmarks/office (facts, yes or no,
# how to, several documents), five passages: the best one .67, three .69, five .69, those with the
# lowest doubt of the three prompts .74. Stopping below a doubt of .05, .1 and .15: .74 with 3.1
# passages read on average, .74 with 2.9, and .73 with 2.5.
SURE = 0.1
"""Doubt below which the passages that are read answer, and no further ones are read."""

PORTIONS = (1, 3)
"""Numbers of passages that are read before all of them."""

CHECKED = 2
"""Passages that the gate reads if it is unsure. Its AUC on the questions of
``GateConstants.unsure`` is .984 with two, .976 with one."""


def reads_on(
    generator: Generator, request: AnswerRequest, passages: Sequence[Passage], *, begun: bool
) -> bool:
    """Return whether to read the passages in portions.

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
) -> tuple[Session, Sequence[Passage]]:
    """Read passages in portions until the doubt is low; else answer from those of the lowest doubt.

    :param begin: opens a session with some passages in its prompt.
    :param passages: best first.
    :param meter: counts the sessions that do not answer.
    :returns: the session that answers, which the caller closes, and its passages.
    """
    read: list[tuple[float, Session, Sequence[Passage]]] = []
    with ExitStack() as opened:
        for shown in _portions(passages):
            session = begin(shown)
            opened.callback(session.close)
            doubt = session.look()
            if doubt is None:  # the model cannot tell
                meter.count(session)
                return begin(passages), passages
            read.append((doubt, session, shown))
            if doubt < SURE:
                break
        opened.pop_all()
    _, chosen, answering = min(read, key=lambda each: each[0])
    for _, session, _ in read:
        if session is not chosen:
            meter.count(session)
            session.close()
    return chosen, answering


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
