"""Read a question in its conversation: whether it stands alone, and if not, what it asks.

The gate, the search and the grounding see the question as it stands alone; a closed-book answer
sees the conversation and the message as it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from expertrag.answer.canonical import is_uncased, recased
from expertrag.api.turns import Turn, TurnRole
from expertrag.conversation.about import is_about_conversation
from expertrag.conversation.rewrite import rewrite, subject_of
from expertrag_index.language import is_english

if TYPE_CHECKING:
    from expertrag.answer.served_index import View
    from expertrag.runtime.meter import Meter
    from expertrag_index.types import Filter
    from expertrag_retriever.partitions import QueryVectors
    from expertrag_retriever.search import Searcher


NAMED_IN = 5
"""Passages that show how names are written."""


@dataclass(frozen=True, slots=True)
class Asked:
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


def read_in_context(
    message: str,
    history: Sequence[Turn],
    view: View,
    filter: Filter | None,
    check: Callable[[], None],
) -> Asked:
    """Read a message in its conversation.

    :param filter: restricts the documents that may be evidence of what it asks.
    :param check: raises if the call is to stop; called before each embedding.
    """
    turns = tuple(history)
    if not turns:
        return Asked(message, message)
    if is_about_conversation(message):
        return Asked(message, message, turns, about_conversation=True)
    if is_english(message) is False:  # the rules are
        return Asked(message, message, turns)
    known: dict[str, QueryVectors] = {}

    def evidence(question: str) -> float:
        if question not in known:
            check()
            known[question] = view.searcher.encode(question, filter)
        return view.gate.evidence(known[question], filter)

    question = rewrite(message, subject_of(exchanges(turns), evidence), evidence).question
    return Asked(message, question, turns, vectors=known.get(question))


def embedded(
    asked: Asked,
    view: View,
    filter: Filter | None,
    meter: Meter,
    check: Callable[[], None],
    *,
    recase: bool,
) -> Asked:
    """Embed a question that is searched for.

    :param check: raises if the call is to stop; called before each embedding.
    :param recase: write the names in a question without capitals as the passages do that it finds:
        the gate and the search weigh names, and a model reads them better.
    """
    if asked.vectors is None:
        check()
        with meter.stage("embed"):
            asked = replace(asked, vectors=view.searcher.encode(asked.question, filter))
    if not (recase and is_uncased(asked.question)):
        return asked
    check()
    with meter.stage("rewrite"):
        question = with_names(asked.question, view.searcher, filter, asked.vectors)
        if question == asked.question:
            return asked
        return replace(
            asked,
            message=question if asked.message == asked.question else asked.message,
            question=question,
            vectors=view.searcher.encode(question, filter),
        )


def with_names(
    question: str,
    searcher: Searcher,
    filter: Filter | None = None,
    vectors: QueryVectors | None = None,
) -> str:
    """Write the names in a question without capitals as the passages do that it finds."""
    found = searcher.search(question, k=NAMED_IN, filter=filter, query_vector=vectors)
    return recased(question, [passage.text for passage in found.passages])


def exchanges(history: Iterable[Turn]) -> list[tuple[str, str]]:
    """Return the questions of a conversation with their answers, "" where there is none.

    Messages about the conversation itself are left out.
    """
    found: list[tuple[str, str]] = []
    asks = False
    for turn in history:
        if turn.role == TurnRole.USER:
            asks = not found or not is_about_conversation(turn.text)
            if asks:
                found.append((turn.text, ""))
        elif asks and found:
            question, answer = found[-1]
            found[-1] = question, f"{answer}\n{turn.text}".strip()
    return found
