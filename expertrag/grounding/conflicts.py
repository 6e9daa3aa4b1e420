"""Tell that an older version of a document, or a draft, contradicts an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expertrag.api.types import Citation, Passage
from expertrag.grounding.ground import SUPPORTED, ground
from expertrag.grounding.versions import is_draft
from expertrag.llm.quoting import passage_title
from expertrag_index.build.naming import path_of

_MOST_NOTES = 2


def conflict_note(
    answer: str,
    question: str,
    cited: Sequence[Passage],
    replaced: Sequence[tuple[Passage, Passage]],
) -> str:
    """Return sentences to append to an answer; empty if no replaced passage contradicts it.

    :param cited: the passages that support the answer.
    :param replaced: pairs of a passage of an older version and the one in force.
    """
    notes = dict.fromkeys(_notes(answer, question, cited, replaced))
    return "".join(f"\n\n{note}" for note in list(notes)[:_MOST_NOTES])


def _notes(
    answer: str,
    question: str,
    cited: Sequence[Passage],
    replaced: Sequence[tuple[Passage, Passage]],
) -> Iterator[str]:
    for older, newer in replaced:
        if newer not in cited or ground(answer, [older], question).support >= SUPPORTED:
            continue
        kind = "A draft" if is_draft(older) else "An older version"
        name = passage_title(path_of(older.document_id, older.source))
        yield f"{kind} says otherwise: {name}"


def passages_of(citations: Sequence[Citation], passages: Sequence[Passage]) -> list[Passage]:
    """Return the cited passages."""
    return [passages[number - 1] for number in sorted({each.passage for each in citations})]
