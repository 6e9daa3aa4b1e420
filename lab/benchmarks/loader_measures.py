"""Shares of a file's words that a loader keeps, by comparison with another reader.

kept      words of the reference that are in our text or title, with how often they occur
numbers   the same for words that hold a digit
code, cells   parts of the reference whose first ten words stand together in our text
noise     our words that neither the reference nor the file has, as a share of our words

Files in which the reference has few words are only counted: a share of ten words says nothing.
"""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from loader_references import Reference

from expertrag_index.types import Document

_SIGN = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"  # Thai, CJK
_WORD = re.compile(f"[{_SIGN}]|(?:(?![{_SIGN}])[^\\W_])+")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_HYPHENATED = re.compile(r"(?<=\w)[-\u2010\u00ad]\s*\n\s*(?=\w)")
_LABEL = re.compile(r"^(?:```|~~~)\w+$|\bcolumn \d+(?=:)", re.MULTILINE)
"""What a loader writes around texts: languages of code, names for columns without one."""
_FIRST_WORDS = 10
FEWEST_WORDS = 20
"""Words of a reference from which the shares of a file count."""

PARTS = ("code", "cells")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The shares of one file; ``parts``: how many of a kind are kept, and how many there are."""

    name: str
    kind: str
    words: int
    read: bool
    kept: float = 0.0
    numbers: float | None = None
    noise: float = 0.0
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    lost: Sequence[str] = ()
    invented: Sequence[str] = ()
    note: str = ""


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded; each sign of Thai and of CJK is a word."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold())


@dataclass(slots=True)
class Reading:
    """The titles and texts of a file's documents, and why there are none."""

    titles: str = ""
    text: str = ""
    note: str = ""

    def add(self, document: Document) -> None:
        """Add a document of the file."""
        self.titles += f"{document.title}\n"
        self.text += f"{_LABEL.sub('', document.text)}\n\n"


def compare(name: str, kind: str, reading: Reading, reference: Reference) -> Comparison:
    """Compare what a loader reads with the reference; an invented title is not noise."""
    ours, theirs, note = f"{reading.titles}\n{reading.text}", reference.text, reading.note
    if kind == "pdf":  # readers differ in whether they join the halves of a word
        ours, theirs = _HYPHENATED.sub("", ours), _HYPHENATED.sub("", theirs)
    have, want = Counter(words_of(ours)), Counter(words_of(theirs))
    total = want.total()
    if not ours.strip() or not total:
        return Comparison(name, kind, total, bool(ours.strip()), note=note)
    lost = want - have
    known = want.keys() | set(words_of(reference.beside))
    invented = [word for word in words_of(reading.text) if word not in known]
    if kind == "xlsx":  # a number is written in its cell's format
        invented = [word for word in invented if not word.isdigit()]
    digits = Counter({word: n for word, n in want.items() if any(map(str.isdigit, word))})
    missing = (digits - have).total()
    return Comparison(
        name,
        kind,
        total,
        read=True,
        kept=1 - lost.total() / total,
        numbers=1 - missing / digits.total() if digits else None,
        noise=len(invented) / have.total(),
        invented=invented[:8],
        parts={part: _kept_parts(reference.parts.get(part, ()), ours) for part in PARTS},
        lost=[word for word, _ in lost.most_common(8)],
        note=note,
    )


def _kept_parts(texts: Iterable[str], ours: str) -> tuple[int, int]:
    """Count the texts whose first words stand together in ours, and the texts."""
    words = words_of(ours)
    phrases = [tuple(first[:_FIRST_WORDS]) for text in texts if (first := words_of(text))]
    ours_by_length = {
        length: set(zip(*(words[start:] for start in range(length)), strict=False))
        for length in {len(phrase) for phrase in phrases}
    }
    stream = f" {' '.join(words)} "

    def stands(phrase: tuple[str, ...]) -> bool:
        text = " ".join(phrase)  # a word may be joined to its ending: <code>file</code>s
        return phrase in ours_by_length[len(phrase)] or f" {text}" in stream or f"{text} " in stream

    return sum(map(stands, phrases)), len(phrases)


def summarise(comparisons: Sequence[Comparison]) -> dict[str, dict[str, float | int | None]]:
    """Return a row of measures for each kind of file.

    refused: files without a document; counted: files whose shares count; unfair: refused files in
    which the reference has words.
    """
    table: dict[str, dict[str, float | int | None]] = {}
    for kind in sorted({one.kind for one in comparisons}):
        of_kind = [one for one in comparisons if one.kind == kind]
        readable = [one for one in of_kind if one.read and one.words >= FEWEST_WORDS]
        kept = sorted(one.kept for one in readable)
        numbers = [one.numbers for one in readable if one.numbers is not None]
        table[kind] = {
            "files": len(of_kind),
            "refused": sum(not one.read for one in of_kind),
            "counted": len(readable),
            "unfair": sum(not one.read and one.words >= FEWEST_WORDS for one in of_kind),
            "median": statistics.median(kept) if kept else None,
            "p5": kept[int(0.05 * len(kept))] if kept else None,
            "min": kept[0] if kept else None,
            "numbers": statistics.fmean(numbers) if numbers else None,
            **{part: _share(readable, part) for part in PARTS},
            "noise": statistics.fmean(one.noise for one in readable) if readable else None,
        }
    return table


def _share(comparisons: Iterable[Comparison], part: str) -> float | None:
    counts = [one.parts.get(part, (0, 0)) for one in comparisons]
    total = sum(count for _, count in counts)
    return sum(kept for kept, _ in counts) / total if total else None


_REQUIREMENT = re.compile(r"(?:(\w+):)?(\w+)(>=|<=)([\d.]+)")


def missed(
    table: Mapping[str, Mapping[str, float | int | None]], requirements: Iterable[str]
) -> list[str]:
    """Return the requirements, [KIND:]MEASURE>=NUMBER, that a table does not meet, in words.

    :raises ValueError: a requirement is written in another way, or names an unknown measure.
    """
    failed = []
    for text in requirements:
        parts = _REQUIREMENT.fullmatch(text)
        if parts is None or not any(parts[2] in row for row in table.values()):
            raise ValueError(f"--require {text}: write it as html:p5>=.95 or unfair<=0")
        bound, at_least = float(parts[4]), parts[3] == ">="
        for kind, row in table.items():
            value = row.get(parts[2])
            if value is None or parts[1] not in (None, kind):
                continue
            if (value < bound) if at_least else (value > bound):
                failed.append(f"{kind}: {parts[2]} is {value:.4f}, not {parts[3]} {bound:g}")
    return failed
