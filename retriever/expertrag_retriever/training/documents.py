"""Pairs from documents alone, for teams without queries: a title and what stands below it.

A title is what its author would call the text in a few words, which is near to what a person would
type to find it. A pair is kept only where that is so: the title has words of its own, is no other
document's, and does not stand in the text already, where finding it would be no more than matching.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from expertrag_retriever.training.types import Pair, Source, normalized

_FEWEST_WORDS, _MOST_WORDS = 2, 20  # of a title
_FEWEST_BODY_WORDS = 20
_HEADING = re.compile(r"^#{1,6}\s+(?P<title>\S.*?)\s*#*\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Text:
    """A document: an id, a title that may be empty, and a text."""

    id: str
    title: str
    text: str


def from_documents(name: str, documents: Iterable[Text]) -> Source:
    """Make a source of titles and headings with what stands below them."""
    sections = [section for document in documents for section in _sections(document)]
    titles = Counter(normalized(section.title) for section in sections)
    kept = [item for item in sections if titles[normalized(item.title)] == 1 and _telling(item)]
    return Source(
        name,
        {item.id: item.text for item in kept},
        tuple(Pair(item.title, item.id) for item in kept),
    )


def _sections(document: Text) -> Iterator[Text]:
    """Yield the document below its title, and each section below its heading."""
    headings = list(_HEADING.finditer(document.text))
    starts = [heading.end() for heading in headings]
    ends = [heading.start() for heading in headings[1:]] + [len(document.text)]
    opening = document.text[: headings[0].start()] if headings else document.text
    if document.title:
        yield Text(document.id, document.title, opening.strip())
    for number, (heading, start, end) in enumerate(zip(headings, starts, ends, strict=False)):
        body = document.text[start:end].strip()
        yield Text(f"{document.id}#{number}", heading["title"], body)


def _telling(section: Text) -> bool:
    title, body = normalized(section.title), normalized(section.text)
    return (
        _FEWEST_WORDS <= len(title.split()) <= _MOST_WORDS
        and len(body.split()) >= _FEWEST_BODY_WORDS
        and title not in body
    )
