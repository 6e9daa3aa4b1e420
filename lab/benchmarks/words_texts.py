"""The prose of a file: docstrings, comments and strings of Python, paragraphs of Markdown."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

Line = tuple[int, str]

_FENCE = re.compile(r"^\s*(?:```|~~~)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
_FIELD = re.compile(r"^\s*(?::\w+[^:]*:|``[^`]+``(?:, ``[^`]+``)*(?:, [^:;`]{1,20})?:)")
_COLUMNS = re.compile(r"^\s*\S+(?: \S+)*(?: {2,}|: +\S.* {2,})\S")
_NAME = re.compile(r"^(\s*)[A-Za-z_]\w*(?:, [A-Za-z_]\w*)*: +\S")
_NOT_PROSE = re.compile(r"^(?:\s*(?:\||#|<|>>>)| {4,}(?![-*]|\d+\.))")
_FIGURE = re.compile(r"<!--.*?-->")
_SIGN = re.compile(r"[.,:;!?]")
_MANY_WORDS = 25
_ERROR = re.compile(r"(?:Error|Exception|Usage|Argument|Found|Conflict|Denied|Overloaded)$")
_ERRORS = frozenset(
    ("invalid", "Cancelled", "DeadlineExceeded", "MissingExtra", "Unauthenticated", "Unavailable")
)


class Kind(Enum):
    """What is checked: the length of sentences, of their clauses, or only the phrases."""

    PROSE = auto()
    MESSAGE = auto()
    PHRASES = auto()


@dataclass(frozen=True, slots=True)
class Text:
    """Lines joined by spaces; ``starts`` and ``numbers`` tell where each of them came from."""

    kind: Kind
    value: str
    starts: Sequence[int]
    numbers: Sequence[int]

    @classmethod
    def of(cls, kind: Kind, lines: Iterable[Line]) -> Text:
        """Join lines of one paragraph."""
        starts, numbers, value = [], [], ""
        for number, line in lines:
            value += " " if value else ""
            starts.append(len(value))
            numbers.append(number)
            value += " ".join(line.split())
        return cls(kind, value, starts, numbers)

    def line_at(self, offset: int) -> int:
        """Return the number of the line that has a character."""
        return self.numbers[max(0, bisect_right(self.starts, offset) - 1)]


def markdown_texts(source: str) -> Iterator[Text]:
    """Yield the paragraphs and the items of lists, without code, tables and headings."""
    lines: list[Line] = []
    in_code = False
    for number, line in enumerate(source.split("\n"), 1):
        if _FENCE.match(line):
            in_code = not in_code
            lines.append((number, ""))
        elif not in_code:
            lines.append((number, "" if _NOT_PROSE.match(line) else _FIGURE.sub("", line)))
    for block in _blocks(lines):
        yield Text.of(Kind.PROSE, block)


def python_texts(source: str) -> Iterator[Text]:
    """Yield docstrings by paragraphs, blocks of comments, and strings."""
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(each): each for each in _docstrings(nodes)}
    for each in docstrings.values():
        yield from _docstring_texts(each.lineno, str(each.value))
    yield from _comments(source)
    messages = {id(each) for node in nodes for each in _message_parts(node)}
    parts = {id(v) for n in nodes if isinstance(n, ast.JoinedStr) for v in n.values}
    for node in nodes:
        if not isinstance(node, ast.expr) or id(node) in docstrings or id(node) in parts:
            continue
        if (value := _string(node)) is not None:
            kind = Kind.MESSAGE if id(node) in messages else Kind.PHRASES
            yield Text.of(kind, [(node.lineno, value)])


def _docstring_texts(first: int, value: str) -> Iterator[Text]:
    lines = list(enumerate(value.split("\n"), first))
    for block in _blocks(lines):
        is_list = any(_COLUMNS.match(line) or "|" in line[:8] for _, line in block)
        is_code = all(line.startswith(" " * 4) for _, line in block) and _is_deeper(block, lines)
        is_field = bool(_FIELD.match(block[0][1]))
        is_prose = not (is_list or is_code or is_field)
        for entry in _entries(block):
            yield Text.of(Kind.PROSE if is_prose else Kind.PHRASES, entry)


def _entries(block: list[Line]) -> list[list[Line]]:
    """Split a list of names, "name: text", by its names; leave other blocks whole.

    Lines of text that follow the first of a name are indented more than the names.
    """
    result: list[list[Line]] = []
    first = _NAME.match(block[0][1])
    for number, line in block:
        indent = len(line) - len(line.lstrip())
        match = _NAME.match(line)
        if first and match and match[1] == first[1]:
            result.append([(number, line)])
        elif first and indent > len(first[1]):
            result[-1].append((number, line))
        else:
            return [block]
    return result if len(result) > 1 else [block]


def _is_deeper(block: Sequence[Line], lines: Sequence[Line]) -> bool:
    """Return whether a block is indented more than its docstring."""
    others = [line for _, line in lines[1:] if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in others]
    least = min(indents, default=0)
    return all(len(line) - len(line.lstrip()) > least for _, line in block)


def _blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield paragraphs, items of lists, and fields of docstrings."""
    block: list[Line] = []
    for number, line in lines:
        if block and (not line.strip() or _ITEM.match(line) or _FIELD.match(line)):
            yield block
            block = []
        if line.strip():
            block.append((number, _ITEM.sub("", line)))
    if block:
        yield block


def _docstrings(nodes: Iterable[ast.AST]) -> Iterator[ast.Constant]:
    """Yield strings that are statements: docstrings of modules, classes, functions, constants."""
    for node in nodes:
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value


def _comments(source: str) -> Iterator[Text]:
    """Yield comments, those in lines that follow each other as one."""
    block: list[Line] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if block and block[-1][0] != token.start[0] - 1:
                yield Text.of(Kind.PHRASES, block)
                block = []
            block.append((token.start[0], token.string.lstrip("#: ")))
    if block:
        yield Text.of(Kind.PHRASES, block)


def _message_parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of messages: in ``raise``, in calls of errors, and help of options."""
    if isinstance(node, ast.Raise):
        yield from ast.walk(node)
    elif isinstance(node, ast.Call):
        name = str(getattr(node.func, "attr", getattr(node.func, "id", "")))
        if name in _ERRORS or _ERROR.search(name) or name == "option":
            yield from ast.walk(node)
        for keyword in node.keywords:
            if keyword.arg in ("help", "short_help"):
                yield from ast.walk(keyword.value)


def _string(node: ast.AST) -> str | None:
    """Return a string, but for lists of words; a value in an f-string is one word."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(each.value) if isinstance(each, ast.Constant) else "X" for each in node.values
        )
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return None
    value = node.value
    is_list = len(value.split()) > _MANY_WORDS and not _SIGN.search(value)
    return None if is_list or " " not in value else value
