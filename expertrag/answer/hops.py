"""Split a question of two hops: answer the first part, then ask the second part with that answer.

"Who is the manager of the author of the plan?" becomes "Who is the author of the plan?". Then it is
"Who is the manager of Ada Lund?". The language model writes the two parts. Each of them is a
question about one fact, which it reads well.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from expertrag.answer.question_set import ONE_FACT
from expertrag.api.types import Sampling
from expertrag.llm.base import Message
from expertrag.llm.prompt import INSTRUCT

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.llm.base import Generator

_SYSTEM = "Split the question into two. The second one has {answer} for the answer of the first."
_EXAMPLES = (
    (
        "Who is the manager of the author of the holiday policy?",
        "First: Who is the author of the holiday policy?\nThen: Who is the manager of {answer}?",
    ),
    (
        "In which town does the owner of the printer contract live?",
        "First: Who is the owner of the printer contract?\nThen: In which town does {answer} live?",
    ),
    (
        "Whom does the driver of the red van report to?",
        "First: Who is the driver of the red van?\nThen: Whom does {answer} report to?",
    ),
    (
        "Who trains the player that scored the last goal?",
        "First: Who scored the last goal?\nThen: Who trains {answer}?",
    ),
    (
        "When was the actor whom the radio praised for his Hamlet born?",
        "First: Which actor did the radio praise for his Hamlet?\nThen: When was {answer} born?",
    ),
    (
        "Welche Sprachen spricht die Person, die den Preis gewonnen hat?",
        "First: Wer hat den Preis gewonnen?\nThen: Welche Sprachen spricht {answer}?",
    ),
)
_PARTS = re.compile(r"\s*(?P<first>[^\n]{8,200}\?)\s*\n\s*Then: (?P<then>[^\n]{4,200}\?)")
_TOKENS = 80
ANSWER = "{answer}"


def split_question(context: AnswerContext, generator: Generator) -> tuple[str, str] | None:
    """Return the first question, and the second one with ``ANSWER`` in it; None if it is one."""
    if generator.family != INSTRUCT.name or context.request.sampling.constraint is not None:
        return None
    messages = [Message("system", _SYSTEM)]
    for question, parts in _EXAMPLES:
        messages += [Message("user", question), Message("assistant", parts)]
    messages += [Message("user", context.request.question), Message("assistant", "First:")]
    sampling = Sampling(_TOKENS, frequency_penalty=0.0, stop=("\n\n",))
    policy = generator.make_policy(sampling, context.route.answers, context.policy.salt)
    with closing(generator.begin(messages, sampling, context.should_stop, policy)) as session:
        text = "".join(context.meter.stream("draft", session.stream()))
        context.meter.count(session)
    match = _PARTS.match(text)
    if match is None or match["then"].count(ANSWER) != 1:
        return None
    if len(match["first"]) >= len(context.request.question):  # it is the whole question again
        return None
    return match["first"], match["then"]


def ask_instead(context: AnswerContext, question: str) -> AnswerContext:
    """Return the context of another question, about one fact."""
    vectors = context.view.searcher.encode(question, context.request.filter or None)
    asked = replace(context.asked, question=question, vectors=vectors)
    request = replace(context.request, question=question)
    return replace(context, request=request, asked=asked, asks_about=ONE_FACT)


def name_in(answer: str) -> str:
    """Return the name in an answer: "Ada Lund" of "Ada Lund is the author."."""
    return re.split(r"\s+(?:is|was|are|ist|war)\s", answer.strip(" ."), maxsplit=1)[0]
