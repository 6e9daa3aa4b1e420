"""Questions from examples: a description, a colon, and the code.

Also asks what a command does, if its page begins with a description.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_lab.train.reader.made.headings import first_sentence
from expertrag_lab.train.reader.made.types import Made, Piece

MAKER = "example"

_STEP = re.compile(
    r"^[ \t]*(?:[-*+•]|\d+[.)])?[ \t]*(?P<what>[A-Z][^\n`]*(?:`[^`\n]*`[^\n`]*)*):"
    r"(?:[ \t]*|\s*\n[ \t]*)`(?P<code>[^`\n]+)`[ \t]*$"
    r"|^[ \t]*(?:[-*+•]|\d+[.)])?[ \t]*(?P<said>[A-Z][^\n]*):\s*\n"
    r"[ \t]*(?:```\w*\n(?P<fenced>[^\n]+)\n\s*```|(?:\t| {4,})(?P<indented>\S[^\n]*)$)",
    re.MULTILINE,
)
_RUN_IN = re.compile(r" - (?=[A-Z\[])")  # items of a list that lost its line breaks
_STATEMENT = re.compile(
    r"\bTo (?P<what>[a-z][^.:;\n]{8,150}?)"
    r"(?:, (?:use|you|we|one|specify|issue|execute|do|enter|run|write)\b[^.:;\n]*)?:\s+"
    r"(?P<code>[A-Z]{3,}\s[^;]{3,200};)"
)
_FEWEST_WORDS, _MOST_WORDS = 2, 24  # of a description
_FEWEST_CODE_WORDS, _MOST_CODE_WORDS = 1, 30
_ASIDE = re.compile(r"\s*\([^()]*\)\s*$|\[([a-zA-Z])\]")
_NO_IMPERATIVE_WORDS = """
    the a an this that it if when where for in on note see also example examples output here there
    you we as with or and to default alternatively options usage syntax result returns first then
    next finally using by after before assuming given
"""
_NO_IMPERATIVE = frozenset(_NO_IMPERATIVE_WORDS.split())


def steps(piece: Piece) -> Iterator[Made]:
    """Yield "How do I ...?" for each example; the answer is the code.

    Also yield "What does ... do?" for the command that the examples show.
    """
    names = set()
    for match in _STATEMENT.finditer(piece.text):
        what, code = _plain(match["what"]), " ".join(match["code"].split())
        if _usable(what, code):
            yield Made(f"How do I {what}?", code, piece, MAKER)
    for what, code in _steps(piece.text):
        if _usable(what, code):
            yield Made(_question(what, code, piece), code, piece, MAKER)
            names.add(_command(code, piece.title))
    if piece.title in names and (sentence := first_sentence(piece.text)):
        yield Made(f"What does {piece.title} do?", sentence, piece, MAKER, sentence=True)


def _steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield description and code of each example, also from a list that lost its line breaks."""
    if "\n" not in text:
        text = _RUN_IN.sub("\n- ", text)
    for match in _STEP.finditer(text):
        code = match["code"] or match["fenced"] or match["indented"]
        yield _plain(match["what"] or match["said"]), code.strip()


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
    """Return the command's name: the title if the code contains it, else the code's first word."""
    if title and re.search(rf"(?<!\w){re.escape(title)}(?!\w)", code, re.IGNORECASE):
        return title
    word = code.removeprefix("sudo ").split()[0]
    return word if re.fullmatch(r"[\w.-]+", word) else title


def _plain(what: str) -> str:
    """Drop asides, and brackets that mark an option's letter: "E[x]tract an archive"."""
    return _ASIDE.sub(lambda match: match[1] or "", what).replace("`", "").strip(" .")


def _usable(what: str, code: str) -> bool:
    words = what.split()
    return (
        _FEWEST_WORDS <= len(words) <= _MOST_WORDS
        and words[0].lower() not in _NO_IMPERATIVE
        and words[0].isalpha()
        and not re.search(r"[.?!;]\s", what)
        and "..." not in code
        and _FEWEST_CODE_WORDS <= len(code.split()) <= _MOST_CODE_WORDS
    )
