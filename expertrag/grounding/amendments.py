"""Later decisions among passages: one that changes what an earlier one says is read before it.

Minutes and amendments are not versions of the document that they change: the rest of it stays in
force, so it is kept. A passage amends others if it has a later date, and a sentence about the
question that states a change. Such a sentence is "The budget is raised to €685,000."
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from expertrag.api.types import Passage
from expertrag.grounding.versions import DATE_FIELDS, asks_for_older
from expertrag.grounding.wording import Content, Wording, wording
from expertrag.llm.provenance import provenance_words
from expertrag_index.build.naming import path_of
from expertrag_index.words.sentences import spans

_ENOUGH = 2
"""Common words of the question in the sentence that states the change; half of fewer words."""

_CHANGES = re.compile(
    r"\b(?:instead of|no longer|void|with effect from|from now on|as of now"
    r"|(?:replac|supersed|amend|withdr[ae]w|revis)\w*"
    r"|(?:is|are|was|were|has been|have been|been)\s+(?:now\s+)?(?:raised|lowered|increased|reduced"
    r"|cut|moved|postponed|brought forward|changed|extended|shortened|corrected|cancelled)"
    r"|statt|ab sofort|gilt nicht mehr|ersetzt|geändert|verschoben|erhöht|gesenkt|verlängert)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])(?:[-_.]?(0[1-9]|[12]\d|3[01]))?(?!\d)"
)


def put_amended_first(question: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Move passages that amend earlier ones before them, the latest first.

    :param passages: best first.
    """
    if asks_for_older(question):
        return tuple(passages)
    asked = wording(question)
    amending = [passage for passage in passages if date_of(passage) and _amends(passage, asked)]
    order = list(passages)
    for passage in sorted(amending, key=date_of):
        rank = order.index(passage)
        earlier = (
            number
            for number, other in enumerate(order[:rank])
            if "" < date_of(other) < date_of(passage) and other.document_id != passage.document_id
        )
        if (first := next(earlier, None)) is not None:
            order.insert(first, order.pop(rank))
    return tuple(order)


def date_of(passage: Passage) -> str:
    """Return the date in the name of a passage's file, else in its metadata; "" if unknown."""
    name = PurePosixPath(path_of(passage.document_id, passage.source)).stem
    if match := _DATE.search(name):
        return "-".join(part for part in match.groups() if part)
    dates = (str(passage.metadata.get(field, "")) for field in DATE_FIELDS)
    return next((date[:10] for date in dates if _DATE.match(date)), "")


def _amends(passage: Passage, asked: Wording) -> bool:
    """Return whether a sentence of a passage states a change of what is asked about."""
    common = asked.words - asked.exact
    if not common or not _CHANGES.search(passage.text):
        return False
    if asked.exact and asked.exact.isdisjoint(
        wording(f"{provenance_words(passage)}\n{passage.text}").holds
    ):
        return False
    sentences = (passage.text[start:end] for start, end in spans(passage.text))
    return any(
        is_about(wording(sentence), asked) for sentence in sentences if _CHANGES.search(sentence)
    )


def is_about(content: Content, asked: Wording) -> bool:
    """Return whether the content of a sentence has enough of a question's words."""
    common = asked.words - asked.exact
    return len(common & content.holds) >= min(_ENOUGH, len(common) / 2)
