"""Read a message that continues a conversation: whether it stands alone, and if not, what it asks.

Rules read most follow-ups. Where they leave it open, a large enough language model writes the
question, which is used only if it is faithful to the conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from expertrag.answer.context import QuestionInContext
from expertrag.answer.rewriting_check import is_faithful
from expertrag.api.turns import Turn, TurnRole
from expertrag.conversation.about import is_about_conversation
from expertrag.conversation.anaphora import first_anaphor
from expertrag.conversation.rewrite import RewritingForm, rewrite, rewritings, subject_of
from expertrag.llm import prompt, standalone
from expertrag.llm.base import Generator, Message, ShouldStop
from expertrag.llm.standalone import MOST_EXCHANGES, standalone_question
from expertrag_index.words.language import is_english

if TYPE_CHECKING:
    from expertrag.runtime.meter import Meter
    from expertrag.stores.served_index import View
    from expertrag_index.types import Filter
    from expertrag_retriever.partitions import QueryVectors

Write = Callable[[Sequence[Message]], str]
"""Continues a prompt of :func:`expertrag.llm.standalone.standalone_question`."""


class StoreEvidence:
    """How well the documents of a store cover a question; the vectors of questions are kept."""

    def __init__(self, view: View, filter: Filter | None, check: Callable[[], None]) -> None:
        """Take a view of the store.

        :param filter: restricts the documents that are evidence.
        :param check: raises if the call is to stop; called before each embedding.
        """
        self._view, self._filter, self._check = view, filter, check
        self.vectors: dict[str, QueryVectors] = {}

    def measure(self, question: str) -> float:
        """Return the evidence of a question; see :meth:`Gate.evidence`."""
        if question not in self.vectors:
            self._check()
            self.vectors[question] = self._view.searcher.encode(question, self._filter)
        return self._view.gate.evidence(self.vectors[question], self._filter)


def read_follow_up(
    message: str,
    text: str,
    turns: tuple[Turn, ...],
    store: StoreEvidence,
    write: Write | None = None,
) -> QuestionInContext:
    """Read a message after the turns of a conversation.

    :param text: the message in the form in which it is read.
    :param write: the language model, for what rules leave open; None leaves it to the rules.
    """
    if is_about_conversation(text):
        return QuestionInContext(message, message, turns, about_conversation=True)
    if is_english(text) is False:  # the rules are
        return QuestionInContext(message, text, turns)
    said = exchanges(turns)
    subject = subject_of(said, store.measure)
    likeliest = next(iter(rewritings(text, subject)), None)
    written = _rewrite_by_model(text, said, write) if write and likeliest and likeliest.open else ""
    if written and likeliest and (_resolves(written, text) or not likeliest.likely):
        return QuestionInContext(message, written, turns)
    read = rewrite(text, subject, store.measure)
    question = written if written and read.form is RewritingForm.ALONE else read.question
    return QuestionInContext(message, question, turns, vectors=store.vectors.get(question))


def writer(
    generator: Generator, meter: Meter, should_stop: ShouldStop, salt: str = ""
) -> Write | None:
    """Return a function that continues a prompt by a model; None if it is too small to rewrite.

    :param meter: counts the cost of a continuation.
    :param salt: the caller's; see :meth:`Generator.make_policy`.
    """
    if generator.family != prompt.INSTRUCT.name:
        return None

    def write(messages: Sequence[Message]) -> str:
        policy = generator.make_policy(standalone.SAMPLING, salt=salt)
        begun = generator.begin(messages, standalone.SAMPLING, should_stop, policy)
        with closing(begun) as session:
            text = "".join(session.stream())
            meter.count(session)
        return text.strip()

    return write


def _rewrite_by_model(text: str, said: Sequence[tuple[str, str]], write: Write) -> str:
    """Return the question that a language model makes of a message; "" if it invents or drops."""
    question = write(standalone_question(text, said))
    shown = [part for exchange in said[-MOST_EXCHANGES:] for part in exchange]
    return question if is_faithful(question, text, shown) else ""


def _resolves(question: str, message: str) -> bool:
    """Return whether a question differs from a message, and refers to nothing that it does."""
    if question.casefold().strip(" ?") == message.casefold().strip(" ?"):
        return False
    left = first_anaphor(question)
    return left is None or question[left.start :].split()[0].lower() not in message.lower().split()


def exchanges(history: Iterable[Turn]) -> list[tuple[str, str]]:
    """Return the questions of a conversation with their answers, "" where there is none.

    Messages about the conversation itself are left out.
    """
    pairs: list[tuple[str, str]] = []
    asks = False
    for turn in history:
        if turn.role == TurnRole.USER:
            asks = not pairs or not is_about_conversation(turn.text)
            if asks:
                pairs.append((turn.text, ""))
        elif asks and pairs:
            question, answer = pairs[-1]
            pairs[-1] = question, f"{answer}\n{turn.text}".strip()
    return pairs
