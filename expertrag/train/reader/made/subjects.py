"""Extract the subject of a document from its first sentence.

Examples: "Ada Lovelace (10 December 1815 ...) was an English mathematician", "Kittie is a heavy
metal band that was formed in 1996".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from expertrag.train.reader.made.spans import MONTH
from expertrag.train.reader.made.types import Piece
from expertrag_index.sentences import spans

_DATE = rf"(?:(?:{MONTH}) \d{{1,2}}, \d{{4}}|\d{{1,2}} (?:{MONTH}) \d{{4}})"
_BORN = re.compile(rf"\((?:[^()]*?\bborn |[^()]*?; ?)?(?P<date>{_DATE})(?=\)| \u2013|,| in )")
_IS = re.compile(
    r" (?:is|was) an? (?P<kind>[^,.;:()\"]+?)"
    r"(?=[,.;:(\"]| (?:who|that|which|from|in|of|by|known|best|for|with|based|located|at|on"
    r"|to|where|set|about|currently|consisting|written|directed|starring|released|founded|formed"
    r"|published|produced|created|built|owned|born) )"
)
_BEGAN = re.compile(
    r"\b(?P<verb>founded|established|formed|released|published|built|opened|launched|created)\b"
    r"(?: \w+){0,6}? (?:in|on) (?:[A-Z]\w+ (?:\d{1,2}, )?)?(?P<year>1[5-9]\d\d|20\d\d)\b"
)
_ASIDE = re.compile(r"\s*\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a document. ``noun``: its kind, such as "mathematician".

    ``born``: date of birth as written; ``began``: verb and year of its beginning, such as "formed"
    and 1996.
    """

    piece: Piece
    name: str
    noun: str
    born: str
    began: tuple[str, int] | None

    @property
    def year(self) -> int:
        """Year of birth; requires ``born``."""
        return int(re.findall(r"\d{4}", self.born)[0])


def subjects(pieces: Iterable[Piece]) -> list[Subject]:
    """Find the subjects of the documents whose first sentence states one."""
    found: dict[str, Subject | None] = {}
    for piece in pieces:
        if piece.document_id not in found:  # the first piece of its document
            found[piece.document_id] = _subject(piece)
    return [item for item in found.values() if item]


def _names(said: str, name: str) -> bool:
    """Whether a sentence begins with a name, or a longer form of it."""
    words = name.removeprefix("The ").split()
    return said.removeprefix("The ").startswith(words[0]) and words[-1] in said


def _subject(piece: Piece) -> Subject | None:
    name = _ASIDE.sub("", piece.title).strip()
    text = " ".join(piece.text.split())
    start, end = next(iter(spans(text)), (0, 0))
    sentence = text[start:end]
    found = _IS.search(sentence)
    if not name or not found or not _names(sentence[: found.start()], name):
        return None
    noun = found["kind"].split()[-1]
    if not noun.isalpha() or not noun.islower() or noun.endswith(("s", "ed", "ing")):
        return None
    born = _BORN.search(sentence[: found.start()])
    began = None if born else _BEGAN.search(text)
    return Subject(
        piece,
        name,
        noun,
        born["date"] if born else "",
        (began["verb"], int(began["year"])) if began else None,
    )
