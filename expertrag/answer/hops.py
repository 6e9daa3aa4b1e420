"""Split a question of two hops: answer the first part, then ask the second part with that answer.

"Who is the manager of the author of the plan?" becomes "Who is the author of the plan?". Then it is
"Who is the manager of Ada Lund?". The language model writes the two parts. Each of them is a
question about one fact, which it reads well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from expertrag.answer.question_set import ONE_FACT, find_set
from expertrag.answer.search import find_documents, gather_passages
from expertrag.answer.sessions import write_draft
from expertrag.answer.tables import name_of_row, query_tables
from expertrag.api.types import QuestionScope, Sampling
from expertrag.llm.base import Message
from expertrag.llm.prompt import INSTRUCT

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.answer.rerank import ServedReranker
    from expertrag.answer.sessions import Sessions
    from expertrag.api.types import Passage
    from expertrag.llm.base import Generator

FIRST_HOP = 3
"""Passages that the first part of a question of two hops is answered from."""

MAY_HAVE_TWO_HOPS = 0.02
"""Probability from which a question that no passage may answer is split."""

_SYSTEM = "Split the question into two. The second one has {answer} for the answer of the first."
_EXAMPLES = (
    (
        "Whom do I call at the company that cleans the windows?",
        "First: Which company cleans the windows?\nThen: Whom do I call at {answer}?",
    ),
    (
        "Who is the manager of the author of the holiday policy?",
        "First: Who is the author of the holiday policy?\nThen: Who is the manager of {answer}?",
    ),
    (
        "In which town does the owner of the printer contract live?",
        "First: Who is the owner of the printer contract?\nThen: In which town does {answer} live?",
    ),
    (
        "phone of whoever painted the hall",
        "First: Who painted the hall?\nThen: What is the phone number of {answer}?",
    ),
    (
        "One of us was asked to order the cake. Where does that person sit?",
        "First: Who was asked to order the cake?\nThen: Where does {answer} sit?",
    ),
    (
        "What is the address of the branch where the safe was broken open?",
        "First: At which branch was the safe broken open?\nThen: What is the address of {answer}?",
    ),
    (
        "When was the actor whom the radio praised for his Hamlet born?",
        "First: Which actor did the radio praise for his Hamlet?\nThen: When was {answer} born?",
    ),
    (
        "Take the tenant who owes us most: how long does the lease run?",
        "First: Which tenant owes us most?\nThen: How long does the lease of {answer} run?",
    ),
    (
        "Welche Sprachen spricht die Person, die den Preis gewonnen hat?",
        "First: Wer hat den Preis gewonnen?\nThen: Welche Sprachen spricht {answer}?",
    ),
    (
        "Wie hoch war das Honorar für den Maler, der am 3. Mai in Bonn war?",
        "First: Welcher Maler war am 3. Mai in Bonn?\nThen: Wie hoch war das Honorar für {answer}?",
    ),
)
_PARTS = re.compile(r"\s*(?P<first>[^\n]{8,200}\?)\s*\n\s*Then: (?P<then>[^\n]{4,200}\?)")
_FEWEST_WORDS = 3
"""Words of a question after what the second part asks, from which they are the first part."""
_TOKENS = 80
ANSWER = "{answer}"


class Hops:
    """Answers the first part of a question of two hops, and asks the second one instead."""

    def __init__(
        self, generator: Generator, sessions: Sessions, reranker: ServedReranker | None
    ) -> None:
        self._generator, self._sessions, self._reranker = generator, sessions, reranker

    def may_need_two(self, context: AnswerContext) -> bool:
        """Return whether a question may have two parts, though it was not taken for one."""
        if not context.may_be_misread:
            return False
        chance = context.recognised.probabilities[QuestionScope.TWO_HOPS]
        return chance >= MAY_HAVE_TWO_HOPS

    def take_first(self, context: AnswerContext) -> tuple[AnswerContext, Sequence[Passage]] | None:
        """Answer the first part of a question; return the context of the second part.

        A question of two parts whose second part no passage may answer is asked as a whole.

        :returns: also the passage that the first part was answered from, if it was. None if the
            question has one part.
        """
        parts = split_question(context, self._generator)
        if parts is None:
            return None
        answer, first = self._answer_first(ask_instead(context, parts[0]), parts[0])
        second = ask_instead(context, parts[1].replace(ANSWER, answer))
        if answer and self._may_answer(second, first):
            return second, first
        alone = replace(context, asks_about=ONE_FACT)
        return (alone, ()) if self._may_answer(alone) else None

    def _answer_first(self, context: AnswerContext, question: str) -> tuple[str, Sequence[Passage]]:
        """Answer a first part from passages, else from a table that has one row for it."""
        passages = gather_passages(context, self._reranker).passages[:FIRST_HOP]
        answer = name_in(self._sessions.draft(context, passages), question) if passages else ""
        if answer:
            return answer, passages[:1]
        request = replace(context.request, scope=QuestionScope.LIST)
        about = find_set(
            request, context.recognised, context.view.index, partial(find_documents, context)
        )
        result = query_tables(replace(context, asks_about=about), self._generator)
        return name_of_row(context, result) if result else ("", ())

    def _may_answer(self, context: AnswerContext, others: Sequence[Passage] = ()) -> bool:
        """Return whether the passages of a search, and others, may hold the answer.

        They are read as for the answer, which finds their pages in the KV cache.
        """
        gathered = gather_passages(context, self._reranker)
        best = gathered.ending_with(others, context.request.k).passages
        if not best:
            return False
        reading = self._sessions.open_book(context, self._sessions.pack(context.request, best).kept)
        with closing(reading.session):
            context.meter.count(reading.session)
            return reading.may_answer


def split_question(context: AnswerContext, generator: Generator) -> tuple[str, str] | None:
    """Return the first question, and the second one with ``ANSWER`` in it; None if it is one."""
    if generator.family != INSTRUCT.name:
        return None
    messages = [Message("system", _SYSTEM)]
    for question, parts in _EXAMPLES:
        messages += [Message("user", question), Message("assistant", parts)]
    messages += [Message("user", context.request.question), Message("assistant", "First:")]
    sampling = Sampling(_TOKENS, frequency_penalty=0.0, stop=("\n\n",))
    match = _PARTS.match(write_draft(context, generator, messages, sampling))
    return read_parts(context.request.question, match["first"], match["then"]) if match else None


def read_parts(question: str, first: str, then: str) -> tuple[str, str] | None:
    """Return both parts; if the model repeats the question, what the second part leaves of it."""
    if then.count(ANSWER) > 1:
        return None
    if len(first) >= len(question):
        before = then.partition(ANSWER)[0].split() if ANSWER in then else []
        rest = question.partition(f" {before[-1]} ")[2] if before else ""
        return (rest, then) if len(rest.split()) >= _FEWEST_WORDS else None
    return first, then if ANSWER in then else f"{ANSWER}: {then}"


def ask_instead(context: AnswerContext, question: str) -> AnswerContext:
    """Return the context of another question, about one fact."""
    vectors = context.view.searcher.encode(question, context.request.filter or None)
    asked = replace(context.asked, question=question, vectors=vectors)
    request = replace(context.request, question=question)
    return replace(
        context, request=request, asked=asked, asks_about=ONE_FACT, states=None, read_scopes=None
    )


def name_in(answer: str, question: str) -> str:
    """Return the name in an answer: "Ada Lund" of "Ada Lund is the author of the plan."."""
    text = re.split(r"\s+(?:is|was|are|ist|war)\s", answer.strip(" ."), maxsplit=1)[0]
    asked = {word.casefold() for word in re.findall(r"\w+", question)}
    words = text.split()
    ends = (at for at, word in enumerate(words) if at and word.islower() and word in asked)
    end = next(ends, len(words))
    return " ".join(words[:end]).strip(" ,.")
