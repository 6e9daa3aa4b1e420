"""Correct an answer that gives a former value: the model is shown the sentence and answers again.

Some passages may call a value former, or change what another passage says. Answers from them are
held until they are complete; all others are streamed as they are generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice

from expertrag.answer.portions import PassageSession
from expertrag.api.folding import join_deltas
from expertrag.grounding.evidence import Evidence
from expertrag.grounding.former import calls_former, find_former_value
from expertrag.grounding.versions import PassagePair
from expertrag.grounding.wording import wording
from expertrag.llm.base import Session
from expertrag.llm.prompt import Reply, asks_to_explain
from expertrag.runtime.meter import Meter

_HELD = 32
"""Pieces of an answer that are held, about its tokens. A longer answer is not corrected."""

AskAgain = Callable[[str, str, int], Session]
"""Opens a session that answers again, after an answer, a sentence, and the tokens generated."""


def correct_former_value(
    reading: PassageSession,
    question: str,
    ask_again: AskAgain,
    meter: Meter,
    outdated: Sequence[PassagePair] = (),
) -> PassageSession:
    """Answer again if the answer is a value that a passage calls former, or that a later one has.

    :param outdated: pairs of an earlier passage and one that changes what it says.
    :param meter: counts the session of the former value, which is closed.
    """
    session = reading.session
    changed = [pair for pair in outdated if pair[1] in reading.shown]
    may_be_former = bool(changed) or any(calls_former(p.text) for p in reading.shown)
    if asks_to_explain(question) or not may_be_former:
        return reading
    with ExitStack() as failed, meter.stage("generate"):
        failed.callback(session.close)
        held = list(islice(reading.deltas, _HELD))
        answer = Reply.of(join_deltas(held).text).answer
        evidence = Evidence(reading.shown, question)
        former = find_former_value(wording(answer), evidence, changed)
        if former is None or len(held) == _HELD:
            failed.pop_all()
            return replace(reading, deltas=chain(held, reading.deltas))
        again = ask_again(answer, former.sentence, session.completion_tokens)
    meter.count(session)
    return replace(reading, session=again, deltas=again.deltas(), corrected=session)
