"""Makes training pairs from documents alone, without queries: a title and the text below it.

A title is the author's short description of the text, close to what a user would type to find it. A
pair is kept only if the title is long enough, is not another document's title, and does not occur
in the text itself. That is because finding it would then be mere matching.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from expertrag_lab.embedder.types import Pair, Source, normalize

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
    """Make a source of titles and headings, each paired with the text below it."""
    sections = [section for document in documents for section in _sections(document)]
    titles = Counter(normalize(section.title) for section in sections)
    kept = [item for item in sections if titles[normalize(item.title)] == 1 and _telling(item)]
    return Source(
        name,
        {item.id: item.text for item in kept},
        tuple(Pair(item.title, item.id) for item in kept),
    )


def _sections(document: Text) -> Iterator[Text]:
    """Yield the opening of a document with its title, and each section with its heading."""
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
    title, body = normalize(section.title), normalize(section.text)
    return (
        _FEWEST_WORDS <= len(title.split()) <= _MOST_WORDS
        and len(body.split()) >= _FEWEST_BODY_WORDS
        and title not in body
    )
