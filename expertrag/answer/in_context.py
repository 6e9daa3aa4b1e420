"""Read a question in its conversation: whether it stands alone, and if not, what it asks.

The gate, the search and the grounding see the question as it stands alone. A closed-book answer in
a conversation sees the turns and the message as they were sent. Reading a question runs no search:
the gate decides whether one is worth its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.answer.rewriting_check import is_faithful
from expertrag.api.turns import Turn, TurnRole
from expertrag.conversation.about import is_about_conversation, is_courtesy
from expertrag.conversation.anaphora import first_anaphor
from expertrag.conversation.rewrite import RewritingForm, rewrite, rewritings, subject_of
from expertrag.llm.standalone import MOST_EXCHANGES, standalone_question
from expertrag_index.words.language import is_english

if TYPE_CHECKING:
    from expertrag.answer.rewriting_model import Write
    from expertrag.stores.served_index import View
    from expertrag_index.types import Filter
    from expertrag_retriever.partitions import QueryVectors


@dataclass(frozen=True, slots=True)
class QuestionInContext:
    """A message of a conversation, and the question that it asks.

    ``question`` stands alone. ``about_conversation``: the message asks nothing of the documents,
    such as "thanks". ``vectors`` are the question's, once they are known.
    """

    message: str
    question: str
    history: tuple[Turn, ...] = ()
    about_conversation: bool = False
    vectors: QueryVectors | None = None

    @property
    def rewritten(self) -> str:
        """The question, if it is not the message itself; else ""."""
        return self.question if self.question != self.message else ""

    @property
    def text_without_documents(self) -> str:
        """The text that the model answers on its own, after the history."""
        return self.message if self.history else self.question


def read_question(
    message: str,
    history: Sequence[Turn],
    view: View,
    filter: Filter | None,
    check: Callable[[], None],
    *,
    wording: Callable[[str], str] = str,
    write: Write | None = None,
) -> QuestionInContext:
    """Read a message in its conversation.

    :param filter: restricts the documents that may be evidence of what it asks.
    :param check: raises if the call is to stop; called before each embedding.
    :param wording: writes the message in another form before it is read, such as
        :func:`~expertrag.answer.canonical.canonical`.
    :param write: the language model, for what rules leave open; None leaves it to the rules.
    """
    text, turns = wording(message), tuple(history)
    if not turns:
        return QuestionInContext(message, text, about_conversation=is_courtesy(text))
    if is_about_conversation(text):
        return QuestionInContext(message, message, turns, about_conversation=True)
    if is_english(text) is False:  # the rules are
        return QuestionInContext(message, text, turns)
    vectors: dict[str, QueryVectors] = {}

    def evidence(question: str) -> float:
        if question not in vectors:
            check()
            vectors[question] = view.searcher.encode(question, filter)
        return view.gate.evidence(vectors[question], filter)

    said = exchanges(turns)
    subject = subject_of(said, evidence)
    likeliest = next(iter(rewritings(text, subject)), None)
    written = _rewrite_by_model(text, said, write) if write and likeliest and likeliest.open else ""
    if written and likeliest and (_resolves(written, text) or not likeliest.likely):
        return QuestionInContext(message, written, turns)
    read = rewrite(text, subject, evidence)
    question = written if written and read.form is RewritingForm.ALONE else read.question
    return QuestionInContext(message, question, turns, vectors=vectors.get(question))


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
