"""Questions of examples: a line that ends in a colon, followed by a line of code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag.reader.made.types import Made, Piece

MAKER = "example"

_STEP = re.compile(
    r"^[ \t]*(?:[-*+•]|\d+[.)])?[ \t]*(?P<what>[A-Z][^\n`]*(?:`[^`\n]*`[^\n`]*)*):"
    r"(?:[ \t]*|\s*\n[ \t]*)`(?P<code>[^`\n]+)`[ \t]*$"
    r"|^[ \t]*(?:[-*+•]|\d+[.)])?[ \t]*(?P<said>[A-Z][^\n]*):\s*\n"
    r"[ \t]*(?:```\w*\n(?P<fenced>[^\n]+)\n\s*```|(?:\t| {4,})(?P<indented>\S[^\n]*)$)",
    re.MULTILINE,
)
_FEWEST_WORDS, _MOST_WORDS = 2, 24  # of what is done
_FEWEST_CODE_WORDS, _MOST_CODE_WORDS = 1, 30
_ASIDE = re.compile(r"\s*\([^()]*\)\s*$|\[([a-zA-Z])\]")
_NO_IMPERATIVE_WORDS = """
    the a an this that it if when where for in on note see also example examples output here there
    you we as with or and to default alternatively options usage syntax result returns first then
    next finally using by after before assuming given
"""
_NO_IMPERATIVE = frozenset(_NO_IMPERATIVE_WORDS.split())


def steps(piece: Piece) -> Iterator[Made]:
    """Yield "How do I ...?" for each example; the answer is the code."""
    for match in _STEP.finditer(piece.text):
        what = _plain(match["what"] or match["said"])
        code = (match["code"] or match["fenced"] or match["indented"]).strip()
        if _usable(what, code):
            yield Made(_question(what, code, piece), code, piece, MAKER)


def _question(what: str, code: str, piece: Piece) -> str:
    first = what.split()[0]
    lowered = what if first.isupper() and len(first) > 1 else what[0].lower() + what[1:]
    name = _command(code, piece.title)
    if not name or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", what, re.IGNORECASE):
        return f"How do I {lowered}?"
    if re.search(r"\b(?:with|using)\b", what):
        return f"Using {name}, how do I {lowered}?"
    return f"How do I {lowered} with {name}?"


def _command(code: str, title: str) -> str:
    """Name the command: the title where the code has it, else the first word of the code."""
    if title and re.search(rf"(?<!\w){re.escape(title)}(?!\w)", code, re.IGNORECASE):
        return title
    word = code.removeprefix("sudo ").split()[0]
    return word if re.fullmatch(r"[\w.-]+", word) else title


def _plain(what: str) -> str:
    """Drop asides and the brackets that mark a letter for an option: "E[x]tract an archive"."""
    return _ASIDE.sub(lambda match: match[1] or "", what).replace("`", "").strip(" .")


def _usable(what: str, code: str) -> bool:
    words = what.split()
    return (
        _FEWEST_WORDS <= len(words) <= _MOST_WORDS
        and words[0].lower() not in _NO_IMPERATIVE
        and words[0].isalpha()
        and not re.search(r"[.?!;]\s", what)
        and _FEWEST_CODE_WORDS <= len(code.split()) <= _MOST_CODE_WORDS
    )
