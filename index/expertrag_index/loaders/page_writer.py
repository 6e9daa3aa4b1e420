"""Writes the text of a page: lines, paragraphs, items, rows, headings and fenced code."""

from __future__ import annotations

import re

_FALSE_HEADING = re.compile(r"#{1,6}(?:\s|\Z)")
_FENCES = ("```", "~~~")
_BACKTICKS = re.compile("`+")
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_PARAGRAPH = 2


class PageWriter:
    """Collects texts and the breaks between them.

    A break, a space and a marker ("- ", "## ") are due: they are written with the next text, so
    that what is empty leaves no trace.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._newlines = 0
        self._space = False
        self._marker = ""
        self._held = False  # an item has begun, so that its first paragraph needs no break
        self._flat = 0
        self._code: list[str] = []
        self._code_depth = 0
        self._written = self._repeated = 0  # characters

    def result(self) -> str:
        """Return what has been written."""
        return "".join(self._pieces)

    def mark(self) -> int:
        """Return the place that has been reached, for :meth:`since`."""
        return len(self._pieces)

    def since(self, mark: int) -> str:
        """Return what has been written since a place, without breaks and bars around it."""
        return "".join(self._pieces[mark:]).strip(" |\n")

    @property
    def length(self) -> int:
        """The number of characters that have been written, without breaks and markers."""
        return self._written

    @property
    def follows_word(self) -> bool:
        """Whether the next text is joined to a letter, a digit or a closing bracket."""
        due = self._newlines or self._space or self._marker
        if due or self._code_depth or not self._pieces:
            return False
        last = self._pieces[-1][-1:]
        return last.isalnum() or last in ")]"

    @property
    def follows_digit(self) -> bool:
        """Whether the next text is joined to a digit."""
        return self.follows_word and self._pieces[-1][-1:].isdigit()

    def text(self, text: str, lines: bool = False) -> None:
        """Write text, with one space for white space.

        :param lines: keep lines and their indentation.
        """
        if self._code_depth:
            self._code.append(text)
        elif lines and not self._flat:
            for number, line in enumerate(text.split("\n")):
                if number:
                    self.line_break()
                indent = len(line) - len(line.lstrip()) if self._begins_line else 0
                self._words(line[:indent] + line.strip(), line)
        else:
            self._words(" ".join(text.split()), text)

    def _words(self, words: str, text: str) -> None:
        """Write words; the white space around them in the text is due."""
        if words:
            self._space |= text[0].isspace()
            self._put(words)
            self._space = text[-1].isspace()
        else:
            self._space |= bool(text)

    def repeat(self, text: str) -> None:
        """Write a text again, unless repeated texts are half of all: pages can ask for billions."""
        if 2 * (self._repeated + len(text)) <= self._written + len(text):
            self._repeated += len(text)
            self.text(text)

    def space(self) -> None:
        """Separate words, but not words of code."""
        self._space = True

    def line_break(self) -> None:
        """End a line; two of them end a paragraph."""
        if self._code_depth:
            self._code.append("\n")
        elif self._flat:
            self._space = True
        else:
            self._newlines = min(self._newlines + 1, _PARAGRAPH)

    def break_(self, newlines: int = _PARAGRAPH) -> None:
        """Begin a line (1) or a paragraph (2)."""
        if self._code_depth:
            self._code += [] if not self._code or self._code[-1].endswith("\n") else ["\n"]
        elif self._flat:
            self._space = True
        elif not self._held:
            self._newlines = max(self._newlines, newlines)

    def begin_item(self, marker: str, tight: bool) -> None:
        """Begin an item.

        :param tight: it follows another item, so that there is no blank line before it.
        """
        self.break_(1)
        if self._code_depth:
            return
        if self._flat:
            self._marker += marker
            return
        self._newlines = min(self._newlines, 1) if tight else self._newlines
        self._marker, self._held = marker, True

    def end_item(self, marker: str) -> None:
        """End an item; the marker of an empty one is not written."""
        self._marker = self._marker.removesuffix(marker)
        self._held = False
        self.break_(1)

    def begin_heading(self, level: int) -> None:
        """Begin a heading, which is a line of its own."""
        self._held = False
        self.break_()
        if not self._code_depth and not self._flat:
            self._marker = f"{'#' * level} "
        self._flat += 1

    def end_heading(self) -> None:
        """End a heading; an empty one is not written."""
        self._flat -= 1
        if not self._flat:
            self._marker = ""
        self.break_()

    def begin_cell(self, first: bool, flat: bool, label: str) -> None:
        """Begin a cell of a row.

        :param flat: it is part of a line, whatever is in it.
        :param label: stands before its text.
        """
        self._flat += flat
        self._space = False
        if self._code_depth:
            self._code.append("" if first else "\t")
        elif not flat:
            self._marker = ""
            self.break_(1)
        else:
            self._marker += (_escape(label) if label else "") if first else f" | {label}"

    def end_cell(self, flat: bool) -> None:
        """End a cell."""
        self._flat -= flat
        self._space = False
        if not flat:
            self.break_(1)

    def end_row(self) -> None:
        """End a row; what separates its last cells is not written if these are empty."""
        if not self._flat:
            self._marker = ""

    def begin_code(self) -> None:
        """Begin a block of code, in which nothing is altered."""
        self.break_()
        self._code_depth += 1

    def end_code(self) -> None:
        """Write a block of code between fences that are longer than any inside it."""
        self._code_depth -= 1
        if self._code_depth:
            return
        code = _BLANK_LINES.sub("", "".join(self._code)).rstrip().replace("\xa0", " ")
        self._code = []
        self._held = False
        self.break_()
        if code:
            longest = max(map(len, _BACKTICKS.findall(code)), default=0)
            fence = "`" * max(3, longest + 1)
            self._marker = ""
            self._put(f"{fence}\n{code}\n{fence}", escape=False)
            self.break_()

    @property
    def _begins_line(self) -> bool:
        return self._newlines > 0 or not self._pieces

    def _put(self, text: str, escape: bool = True) -> None:
        marker = self._marker
        if self._begins_line:
            marker = marker.removeprefix(" ")
            if self._pieces:
                self._pieces.append("\n" * self._newlines)
            if escape and not marker:
                text = _escape(text)
        elif self._space and not marker.startswith(" "):
            self._pieces.append(" ")
        self._pieces.append(marker + text)
        self._written += len(text)
        self._newlines, self._space, self._marker, self._held = 0, False, "", False


def _escape(text: str) -> str:
    """Keep a line from being a heading or a fence, which it is not in the page."""
    if text[0] not in "#`~":
        return text
    if _FALSE_HEADING.match(text):
        return f" {text}"
    return f"\\{text}" if text.startswith(_FENCES) else text
