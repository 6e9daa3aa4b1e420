"""Reads the text of scanned pages, with the optional extra ``ocr`` (RapidOCR, models included)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from pypdfium2 import PdfPage

from expertrag_common.extras import install_command
from expertrag_index.loaders.base import Unreadable

PACKAGES = ("rapidocr", "onnxruntime")
_POINTS_PER_INCH = 72
_RESOLUTION = 150  # dots per inch
_LARGEST_SIDE = 4_000  # pixels, of a page that is a poster
_GUTTER = 0.015
"""Least width of the space between columns, as a share of the page's."""
_FEWEST_LINES = 3
"""Fewest lines of a column; less is a table or two words far apart."""
_MOST_LINES = 300
"""Most lines of a page in which columns are looked for."""


class TextLine(NamedTuple):
    """A line of text as it was found, in pixels from the upper left."""

    left: float
    top: float
    right: float
    bottom: float
    text: str


def is_installed() -> bool:
    """Whether the extra is installed."""
    return all(find_spec(name) is not None for name in PACKAGES)


def recognise(page: PdfPage) -> str:
    """Return the text that the picture of a page shows, column by column; empty if none.

    :raises Unreadable: the extra is not installed.
    """
    if not is_installed():
        raise Unreadable("scanned pages need the extra 'ocr'", install_command("ocr"))
    largest = _LARGEST_SIDE / max(page.get_size())
    picture = page.render(scale=min(_RESOLUTION / _POINTS_PER_INCH, largest)).to_numpy()
    result = _engine()(picture)
    if result.boxes is None:
        return ""
    lines = [
        _line(box.min(axis=0), box.max(axis=0), text)
        for box, text in zip(result.boxes, result.txts, strict=True)
    ]
    return "\n".join(in_reading_order(lines, picture.shape[1]))


def _line(least: Any, most: Any, text: str) -> TextLine:
    return TextLine(float(least[0]), float(least[1]), float(most[0]), float(most[1]), text)


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    own = "EngineConfig.onnxruntime"
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,  # it turns upright lines around: one character in ten is lost
            f"{own}.intra_op_num_threads": 1,  # there are as many processes as cores
            f"{own}.inter_op_num_threads": 1,
            f"{own}.enable_cpu_mem_arena": False,
        }
    )


def in_reading_order(lines: Sequence[TextLine], width: float) -> list[str]:
    """Join the lines of each row, the columns of a page one after the other.

    :param width: of the page, in the unit of the lines.
    """
    rest = sorted(lines, key=lambda line: line.top)
    if len(rest) > _MOST_LINES:
        return _rows(rest)
    texts: list[str] = []
    while rest:
        size, edge = _columns(rest, width)
        if edge is None:
            texts += _rows(rest[:size])
        else:
            for side in (False, True):
                column = [line for line in rest[:size] if (line.left >= edge) is side]
                texts += in_reading_order(column, width)
        rest = rest[size:]
    return texts


def _columns(lines: Sequence[TextLine], width: float) -> tuple[int, float | None]:
    """Return how many of the first lines stand in columns, and where the right ones begin.

    :return: if they do not, how many lines come before those that do, and None.
    """
    for first in range(len(lines)):
        rest = lines[first:]
        edges = {line.left for line in rest}
        sizes = {edge: _count_column_lines(rest, edge, _GUTTER * width) for edge in edges}
        best = max(sizes, key=lambda edge: sizes[edge])
        if sizes[best]:
            return (first, None) if first else (sizes[best], best)
    return len(lines), None


def _count_column_lines(lines: Sequence[TextLine], edge: float, gutter: float) -> int:
    """Return how many of the first lines are all left of an edge, or begin at or after it."""
    counts = [0, 0]
    size = 0
    for size, line in enumerate(lines, 1):
        if line.left >= edge:
            counts[1] += 1
        elif line.right <= edge - gutter:
            counts[0] += 1
        else:
            size -= 1
            break
    return size if min(counts) >= _FEWEST_LINES else 0


def _rows(lines: Sequence[TextLine]) -> list[str]:
    rows: list[list[TextLine]] = []
    for line in lines:
        middle = (line.top + line.bottom) / 2
        if rows and rows[-1][0].top <= middle <= rows[-1][0].bottom:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [" ".join(line.text for line in sorted(row)) for row in rows]
