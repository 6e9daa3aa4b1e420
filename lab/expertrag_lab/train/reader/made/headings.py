"""Questions from headings, and from titles that a sentence defines or describes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.words.sentences import spans
from expertrag_lab.train.reader.made.types import Made, Piece
from expertrag_lab.train.reader.made.verbs import AUXILIARIES, lower, pronoun_for

MAKER = "heading"

_FEWEST_WORDS, _MOST_WORDS = 5, 40  # of an answer
_LINE = re.compile(r"^(?:#{1,6}[ \t]+)?(?P<heading>\S[^\n]{5,100}?)[ \t]*#*[ \t]*$", re.MULTILINE)
_MARKED = re.compile(r"^#{1,6}[ \t]+")
_ASKS = re.compile(
    r"^(?:how|what|why|when|where|who|which|can|does|do|is|are|should|may|must)\b.*\?$",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"^how to (?P<what>[a-z].*[^?.:])$", re.IGNORECASE)
_NUMBERED = re.compile(r"^(?:\d+[.)])+\s*|^q(?:uestion)?\s*\d*[:.]\s*", re.IGNORECASE)
_UNSPEAKING = re.compile(
    r"^(?:yes|no|it|this|that|these|those|they|here|there|see|as|also|but|for more)\b",
    re.IGNORECASE,
)
_DEFINES = (
    r"^(?:(?:the|a|an) )?{name}(?: \([^)]*\))?,? (?P<verb>is|are) (?:a|an|the|one of|used to)\b"
)
_DOES = (
    r"(?:^|[.!?]\s|\b(?i:description)\s)"
    rf"(?P<sentence>{{name}} (?!{'|'.join(sorted(AUXILIARIES))}|has\b)[a-z]+[a-z]s "
    r"[^.!?;:]+(?:\.(?!\s)[^.!?;:]+)*\.)(?=\s|$)"
)


def headings(piece: Piece) -> Iterator[Made]:
    """Yield questions from a piece's title and from the headings in its text."""
    yield from _define(piece)
    yield from _doing(piece)
    if question := question_of(piece.title):
        yield from _answer(question, piece.text, piece)
    for match in _LINE.finditer(piece.text):
        heading = match["heading"]
        if not (_MARKED.match(match[0]) or heading.endswith("?")):
            continue
        if question := question_of(heading):
            yield from _answer(question, piece.text[match.end() :], piece)


def question_of(heading: str) -> str:
    """Turn a heading into a question; empty if it does not ask anything."""
    heading = _NUMBERED.sub("", " ".join(heading.split()))
    if how := _HOW_TO.match(heading):
        return f"How do I {how['what']}?"
    return heading[0].upper() + heading[1:] if _ASKS.match(heading) else ""


def _answer(question: str, text: str, piece: Piece) -> Iterator[Made]:
    """Use the first sentence below a heading as the answer, if it can stand alone."""
    if sentence := first_sentence(text):
        yield Made(question, sentence, piece, MAKER, sentence=True)


def _define(piece: Piece) -> Iterator[Made]:
    """Ask what a title is, if the first sentence defines it."""
    title = " ".join(piece.title.split())
    sentence = first_sentence(piece.text)
    name = re.escape(title)
    match = re.match(_DEFINES.format(name=name), sentence, re.IGNORECASE) if title else None
    if match:
        given = re.sub(r"\s*\(.*", "", sentence[: match.start("verb")]).strip(" ,")
        word = "Who" if pronoun_for(sentence[len(given) :]) == "Who" else "What"
        question = f"{word} {match['verb']} {lower(given, piece.text)}?"
        yield Made(question, sentence, piece, MAKER, sentence=True)


def _doing(piece: Piece) -> Iterator[Made]:
    """Ask what a command or a function does, if a sentence of its page describes it."""
    title = piece.title.strip()
    named = title.isupper() or (title[:1].islower() and " " not in title)
    match = re.search(_DOES.format(name=re.escape(title)), piece.text) if named else None
    if match and _FEWEST_WORDS <= len(match["sentence"].split()) <= _MOST_WORDS:
        sentence = " ".join(match["sentence"].split())
        yield Made(f"What does {title} do?", sentence, piece, MAKER, sentence=True)


def first_sentence(text: str) -> str:
    """Return the first sentence of a text; empty if it cannot stand alone."""
    start, end = next(iter(spans(text)), (0, 0))
    sentence = " ".join(text[start:end].split())
    if _FEWEST_WORDS <= len(sentence.split()) <= _MOST_WORDS and sentence[-1] in ".!":
        return "" if _UNSPEAKING.match(sentence) else sentence
    return ""
