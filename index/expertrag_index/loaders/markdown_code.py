"""Sets the code of a Markdown text aside, and drops comments, as CommonMark tells them apart."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.loaders.verbatim import Verbatim

_FENCE = re.compile(r"[^\S\n]*(?:>[^\S\n]*)*(`{3,}(?!.*`)|~{3,})")
_ITEM = re.compile(r"\s*(?:[-*+]|[0-9]{1,9}[.)])(?:\s{1,4}(?=\S)|\s|$)")
_INDENT = 4
_BETWEEN_PARAGRAPHS = re.compile(r"(\n[^\S\n]*(?=\n))")
_TICKS_OR_COMMENT = re.compile(r"\\?(`+)|<!--")


def set_aside(text: str, code: Verbatim) -> str:
    """Replace fenced, indented and inline code by its marks, and drop comments."""
    text = "\n".join(_without_blocks(text.split("\n"), code))
    if "`" not in text and "<!--" not in text:
        return text
    return "".join(_without_spans(part, code) for part in _BETWEEN_PARAGRAPHS.split(text))


def _without_blocks(lines: list[str], code: Verbatim) -> Iterator[str]:
    last_end = max((at for at, line in enumerate(lines) if "-->" in line), default=-1)
    offsets: list[int] = []  # where the text of the list items around a line begins
    after_blank = True
    at = 0
    while at < len(lines):
        line = lines[at]
        if fence := _FENCE.match(line):
            end = _end_of_fence(lines, at + 1, fence[1])
        elif after_blank and _is_indented(line, offsets):
            end = _end_of_indented(lines, at, offsets)
        elif line.lstrip().startswith("<!--") and "-->" not in line and at < last_end:
            at = _skip_comment(lines, at)
            continue
        else:
            yield line
            _enter(line, offsets, after_blank)
            after_blank = not line.strip()
            at += 1
            continue
        yield code.block("\n".join(lines[at:end]))
        at = end


def _end_of_fence(lines: list[str], at: int, fence: str) -> int:
    while at < len(lines):
        mark = _FENCE.match(lines[at])
        at += 1
        if mark and mark[1].startswith(fence) and lines[at - 1].rstrip().endswith(mark[1]):
            break
    return at


def _end_of_indented(lines: list[str], at: int, offsets: list[int]) -> int:
    end = at
    while at < len(lines) and (not lines[at].strip() or _is_indented(lines[at], offsets)):
        at += 1
        if lines[at - 1].strip():
            end = at
    return end


def _skip_comment(lines: list[str], at: int) -> int:
    """Return the line that ends a comment, and leave only what follows the comment in it."""
    while "-->" not in lines[at]:
        at += 1
    lines[at] = lines[at].partition("-->")[2]
    return at


def _indent(line: str) -> int:
    return len(line[: len(line) - len(line.lstrip())].expandtabs(_INDENT))


def _is_indented(line: str, offsets: list[int]) -> bool:
    """Whether a line is indented as code in the innermost list item that it belongs to."""
    indent = _indent(line)
    offset = next((each for each in reversed(offsets) if each <= indent), 0)
    return bool(line.strip()) and indent >= offset + _INDENT


def _enter(line: str, offsets: list[int], after_blank: bool) -> None:
    """Leave the list items that end above a line, and enter the one that begins with it."""
    if not line.strip():
        return
    item = _ITEM.match(line)
    while (item or after_blank) and offsets and _indent(line) < offsets[-1]:
        offsets.pop()
    if item:
        offsets.append(len(item[0].expandtabs(_INDENT)))


def _without_spans(text: str, code: Verbatim) -> str:
    """Set the code spans of a paragraph aside, and drop the comments in it."""
    tokens = list(_TICKS_OR_COMMENT.finditer(text))
    closing = _closing_ticks(tokens)
    last_comment = text.rfind("-->")
    pieces: list[str] = []
    done = 0
    for token, end in zip(tokens, closing, strict=True):
        start = token.start()
        if start < done or token[0].startswith("\\"):
            continue
        if token[1] is None and start + 4 <= last_comment:
            pieces.append(text[done:start])
            done = text.index("-->", start + 4) + 3
        elif end:
            pieces += [text[done:start], code.inline(text[start:end])]
            done = end
    return "".join(pieces) + text[done:]


def _closing_ticks(tokens: list[re.Match[str]]) -> list[int]:
    """Return where the next run of as many backticks ends, for each token; 0 if there is none."""
    next_ends: dict[int, int] = {}
    ends: list[int] = []
    for token in reversed(tokens):
        ticks = len(token[1] or "")
        ends.append(next_ends.get(ticks, 0) if ticks else 0)
        if ticks:
            next_ends[ticks] = token.end()
    return ends[::-1]
