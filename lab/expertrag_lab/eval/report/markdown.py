"""Render reports as GitHub-flavoured Markdown, for a pull request or a results folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.blocks import Block, Figure, Note, ShownExample, Table
from expertrag_lab.eval.report.sections import build

_SPECIAL = re.compile(r"[\\`*|~]|\](?=[(\[:])|!(?=\[)")
_TO_ENTITY = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
LONGEST_PASSAGE = 500


def render(reports: Sequence[Mapping[str, JSON]]) -> str:
    """Render reports as Markdown, without plots, which only report.html has."""
    lines = ["# ExpertRAG evaluation", ""]
    for report in reports:
        part = build(report)
        lines += [f"## {part.title}", "", escape(part.facts), ""]
        for section in part.sections:
            lines += [f"### {escape(section.title)}", ""]
            for block in section.blocks:
                lines += [*_block(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Join a text into one line and escape it for Markdown."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split())).translate(_TO_ENTITY)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Note):
        yield escape(block.text)
    elif isinstance(block, Figure):
        if not block.small:
            yield f"*Plot in report.html: {escape(block.caption)}*"
    else:
        yield from _example(block)


def _table(table: Table) -> Iterator[str]:
    figures = len(table.columns) - table.labels
    rows = [[escape(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rules = ["-" * width for width in widths[: table.labels]]
    rules += ["-" * (width - 1) + ":" for width in widths[-figures:] if figures]
    for row in (rows[0], rules, *rows[1:]):
        words = [
            cell.ljust(width) if column < table.labels else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"| {' | '.join(words)} |"


def _example(example: ShownExample) -> Iterator[str]:
    yield f"- **{escape(example.query)}**"
    for name, value in example.facts:
        yield f"  - {escape(name)}: {escape(value)}"
    for rank, passage in enumerate(example.passages, 1):
        text = passage.text
        cut = f"{text[:LONGEST_PASSAGE]}…" if len(text) > LONGEST_PASSAGE else text
        marks = f" ({escape(', '.join(passage.marks))})" if passage.marks else ""
        yield f"  - {rank}. {escape(passage.title)}{marks}: {escape(cut)}"
