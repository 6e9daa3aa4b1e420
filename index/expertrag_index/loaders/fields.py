"""Chooses which fields of a record form its text, and writes them.

A mapping inside a record is flattened, so that a field has a dotted name, of which the last part
counts. A field in ``WHOLE`` holds the text of a document and is written verbatim. If there is one,
the fields in ``BESIDE`` and all others that read like prose follow it, each after its name. If
there is none, the record is a row of a table: all fields form its text, one per line. The other
fields stand next to the text, one per line. In a list they stand above it, where they say who said
it and when.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from expertrag_index.loaders.headings import heading
from expertrag_index.loaders.scalars import is_vector
from expertrag_index.store.metadata import MOST_LEVELS
from expertrag_index.words.patterns import LETTERS

WHOLE = (
    "question", "text", "content", "contents", "body", "article", "passage", "paragraph",
    "paragraphs", "page_content", "full_text", "fulltext", "raw_text", "transcript", "answer",
    "answers", "response",
)  # fmt: skip
"""In the order in which they are written: a question precedes its answer."""

_OF_ONE_WORD = frozenset({"question", "text", "answer", "answers", "response"})

BESIDE = (
    "abstract", "caption", "cause", "comment", "comments", "context", "definition", "description",
    "details", "excerpt", "explanation", "instructions", "message", "note", "notes", "problem",
    "remark", "remarks", "resolution", "solution", "steps", "summary", "symptoms",
)  # fmt: skip
TITLES = ("title", "headline", "heading", "question")
NAMES = ("name", "subject", "term", "label")
"""Titles at the top level of a record only: a nested ``author.name`` names something else."""

LONGEST_LIST = 100
"""Most values of a list that is metadata; a longer list is text."""
_LONGEST_TITLE = 200
_LONGEST_WORD = 200
"""A longer one is data, as of a picture: only metadata."""
_KIND = "type"
"""In a list it names the kind of a node, such as ``paragraph``."""
_EXACT = 2**53
_WORDS_OF_PROSE = 6
_WORDS_OF_A_SENTENCE = 3
_SENTENCE_END = tuple(".!?…。！？")
_OPENING, _CLOSING = "\"'([«“„", "\"')]»” \n"
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")  # Thai, Japanese, Chinese


@dataclass(frozen=True, slots=True)
class RecordText:
    """The text of a record, the names of the fields that form it, and lines of its other fields."""

    text: str
    fields: tuple[str, ...] = ()
    beside: str = ""


def flatten_record(record: Mapping[str, object]) -> dict[str, object]:
    """Flatten a record to fields by dotted name: scalars and lists, none blank.

    Embeddings and null are left out. What is nested deeper than ``MOST_LEVELS`` becomes a string.
    """
    if _depth(record) > MOST_LEVELS:
        record = {name: _shallow(value, MOST_LEVELS - 1) for name, value in record.items()}
    fields: dict[str, object] = {}
    for name, value in _open("", record):
        fields[name] = [fields[name], value] if name in fields else value
    return fields


def is_row(fields: Mapping[str, object], *, titled: bool) -> bool:
    """Whether a record is a row of a table: it has no text field.

    :param titled: the record has a title; then texts in a list of its sections also count.
    """
    if any(rank(name, value) is not None for name, value in fields.items()):
        return False
    return not (titled and any(map(_holds_sections, fields.values())))


def text_of(fields: Mapping[str, object], *, as_row: bool) -> RecordText:
    """Write the text of a record: all fields of a row, otherwise those that are text."""
    if as_row:
        lines = [_line(name, value) for name, value in fields.items()]
        between = "\n\n" if any("\n\n" in line for line in lines) else "\n"
        return RecordText(between.join(lines), tuple(fields))
    ranks = {name: rank(name, value) for name, value in fields.items()}
    whole = sorted((position, name) for name, position in ranks.items() if position is not None)
    blocks = {name: "\n\n".join(_blocks(fields[name])) for _, name in whole}
    beside: list[str] = []
    for name, value in fields.items():
        if name in blocks:
            continue
        if _is_text(name, value):
            blocks[name] = _line(name, value)
        elif not _is_data(value):
            beside.append(_line(name, value))
    first = {text: name for name, text in reversed(blocks.items())}  # write equal texts once
    kept = [name for name, text in blocks.items() if first[text] == name]
    text = "\n\n".join(blocks[name] for name in kept)
    return RecordText(text, tuple(kept), "\n".join(beside))


def title_of(fields: Mapping[str, object], *, names: bool) -> str | None:
    """Return the name of the field that is the title of a record; None if there is none.

    :param names: also consider fields in ``NAMES``.
    """
    for title in TITLES + NAMES * names:
        for name, value in fields.items():
            key = key_of(name) if title in TITLES else name.casefold()
            if key == title and isinstance(value, str) and len(value) <= _LONGEST_TITLE:
                return name
    return None


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """Return the last part of a dotted name, normalised as in the lists above."""
    return re.sub(r"[\s-]+", "_", name.rpartition(".")[2].strip().casefold())


def rank(name: str, value: object) -> int | None:
    """Return the position of a field in ``WHOLE``, by its own name or a parent's; else None.

    A single word can be an answer, but not an article or content: it is a number or a name.
    """
    whole = _whole_of(name, own=not isinstance(value, str))
    if whole is None or not isinstance(value, str | list):
        return None
    return None if whole not in _OF_ONE_WORD and _is_word(value) else WHOLE.index(whole)


@lru_cache(maxsize=4096)
def _whole_of(name: str, *, own: bool) -> str | None:
    """Return the last part of a name that is in ``WHOLE``; with ``own``, only its very last."""
    parts = [key_of(part) for part in name.split(".")]
    return next((part for part in reversed(parts[-1:] if own else parts) if part in WHOLE), None)


def _is_word(value: object) -> bool:
    if not isinstance(value, str) or len(value.split()) != 1:
        return False
    return not value.rstrip().endswith(_SENTENCE_END) and not _UNSPACED.search(value)


def reads_like_prose(text: str) -> bool:
    """Whether a string is at least a sentence, and not a name, id or address."""
    words = sum(LETTERS.match(word.lstrip(_OPENING)) is not None for word in text.split())
    words += len(_UNSPACED.findall(text)) // 2
    ends = text.rstrip(_CLOSING).endswith(_SENTENCE_END)
    return words >= (_WORDS_OF_A_SENTENCE if ends else _WORDS_OF_PROSE)


def _holds_sections(value: object) -> bool:
    records = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return any(not is_row(dict(_open("", item)), titled=True) for item in records)


def _is_text(name: str, value: object) -> bool:
    if key_of(name) in BESIDE + WHOLE:
        return True
    if isinstance(value, str):
        return reads_like_prose(value)
    if isinstance(value, list):
        return len(value) > LONGEST_LIST or any(_is_text("", item) for item in value)
    if isinstance(value, dict):
        inner = dict(_open("", value))
        return not is_row(inner, titled=True) or any(_is_text(*item) for item in inner.items())
    return False


def _is_data(value: object) -> bool:
    words = value.split() if isinstance(value, str) else ()
    return any(len(word) > _LONGEST_WORD for word in words)


def _open(prefix: str, fields: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in fields.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict):
            yield from _open(name, value)
        elif not (is_vector(value) or _is_blank(value)):
            yield name, value


def _is_blank(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_blank, value))
    if isinstance(value, dict):
        return all(map(_is_blank, value.values()))
    return value is None or (isinstance(value, str) and not value.strip())


def _line(name: str, value: object) -> str:
    """Write a field after its name; a list of more than words gets one line per item."""
    blocks = list(_blocks(value))
    if not isinstance(value, list):
        return f"{name}: {blocks[0]}"
    if any(isinstance(item, list | dict) for item in value):
        label = [] if all(block.startswith("## ") for block in blocks) else [f"{name}:"]
        return "\n\n".join(label + blocks)
    if any(map(reads_like_prose, blocks)):
        return "\n".join([f"{name}:", *(f"- {block}" for block in blocks)])
    return f"{name}: {', '.join(blocks)}"


def _blocks(value: object) -> Iterator[str]:
    """Write a value without a name: a scalar, or each item of a list."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, list):
                yield ", ".join(_blocks(item))
            else:
                yield from _blocks(item)
    elif isinstance(value, dict):
        fields = dict(_open("", value))
        if fields:
            yield _section(fields)
    elif isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        yield str(int(value))  # a price of 349.00 is read as 349
    elif not _is_blank(value):
        yield str(value).lower() if isinstance(value, bool) else str(value)


def _section(fields: dict[str, object]) -> str:
    """Write a nested record, below a heading if it has a title."""
    title = title_of(fields, names=True)
    if is_row(fields, titled=title is not None):
        return text_of(fields, as_row=True).text
    above = ""
    if title is not None and rank(title, "") is None:
        above = heading(2, str(fields.pop(title))) + "\n\n"
    fields.pop(_KIND, None)
    text = text_of(fields, as_row=False)
    return above + "\n".join(filter(None, (text.beside, text.text)))


def _shallow(value: object, levels: int) -> object:
    """Write what is nested deeper than some levels as a string."""
    if isinstance(value, dict) and levels:
        return {name: _shallow(inner, levels - 1) for name, inner in value.items()}
    if isinstance(value, list) and levels:
        return [_shallow(inner, levels - 1) for inner in value]
    return ", ".join(_words(value)) if isinstance(value, dict | list) else value


def _words(value: object) -> Iterator[str]:
    """Yield the names and the scalars of a value in order, without recursion."""
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += [each for item in reversed(value.items()) for each in reversed(item)]
        elif isinstance(value, list):
            values += reversed(value)
        elif value is not None:
            yield str(value)


def _depth(value: object) -> int:
    """Count the levels of a value, without recursion."""
    level = 0
    values = [value]
    while values:
        level += 1
        values = [
            inner
            for item in values
            if isinstance(item, list | dict)
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, list | dict)
        ]
    return level
