"""Writes the headings of all formats as Markdown (``# Title``), so that chunks respect them."""

from __future__ import annotations

import re

_FENCE_OR_HEADING = re.compile(
    r"^(?:[^\S\n]*+(?P<fence>`{3,}+|~{3,}+)|#{1,6}[^\S\n]+(?P<heading>[^\s#][^\n]*)$)",
    re.MULTILINE,
)
_LOOKS_LIKE_ONE = re.compile(r"^(?=#{1,6}[^\S\n])", re.MULTILINE)
_UNDERLINE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[^\S\n]*")
_TITLE_CHARS = 200


def heading(level: int, text: str) -> str:
    """Write a heading, level 1 the highest."""
    return f"{'#' * min(max(level, 1), 6)} {' '.join(text.split())}"


def escape_headings(text: str) -> str:
    """Put a space before lines that look like headings and are not, such as ``# apt update``."""
    return _LOOKS_LIKE_ONE.sub(" ", text)


def first_heading(text: str) -> str:
    """Return the text of the first heading outside fenced code; empty if there is none."""
    fence = ""
    for match in _FENCE_OR_HEADING.finditer(text):
        if mark := match["fence"]:
            fence = "" if fence and mark.startswith(fence) else fence or mark
        elif not fence:
            return match["heading"].rstrip("# \t")[:_TITLE_CHARS].strip()
    return ""


def mark_headings(text: str, underlines: str | None = "=-") -> str:
    """Convert underlined titles to ``#`` headings, also those with an overline.

    :param underlines: underline characters, highest level first; None if, as in reST, any
        punctuation as long as the title counts, ranked in order of first use.
    """
    levels = list(underlines or "")
    marked: list[str] = []
    for line in text.split("\n"):
        if not (
            marked
            and _UNDERLINE.fullmatch(line)
            and _is_title(marked[-1], line, underlines is None)
        ):
            marked.append(line)
            continue
        if line[0] not in levels:
            if underlines is not None:
                marked.append(line)
                continue
            levels.append(line[0])
        title = marked.pop()
        if marked and marked[-1].rstrip() == line.rstrip():
            marked.pop()
        marked += [heading(levels.index(line[0]) + 1, title), ""]
    return "\n".join(marked)


def _is_title(line: str, underline: str, full_length: bool) -> bool:
    return (
        bool(line.strip())
        and not line.startswith("#")  # a heading, or the mark of code that is set aside
        and not _UNDERLINE.fullmatch(line)
        and (not full_length or len(underline.rstrip()) >= len(line.rstrip()))
    )
