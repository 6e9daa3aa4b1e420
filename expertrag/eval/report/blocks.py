"""What a report shows, before it is text, Markdown or HTML.

Every kind of report is turned into these once (``sections``); the renderers know nothing of kinds.
Texts are plain: a renderer escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence or two."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of ready-made cells. The first ``labels`` columns are words, the others figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """A named curve; a ``dashed`` one is a reference, not a result."""

    name: str
    points: tuple[Point, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A named point with the interval of its height, if that is known."""

    name: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves and points over two axes."""

    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    from_zero: bool = False


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of predictions: the mean prediction, the mean outcome, and how many."""

    predicted: float
    observed: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Outcomes against predictions, with the number of predictions below."""

    x_label: str
    y_label: str
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval; None draws no bar."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Horizontal bars, a group of them for every group name: ``values[series][group]``."""

    x_label: str
    groups: tuple[str, ...]
    series: tuple[str, ...]
    values: tuple[tuple[Bar, ...], ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """Horizontal bars of parts that add up: ``values[part][row]``."""

    x_label: str
    rows: tuple[str, ...]
    parts: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


Plot = Curves | Reliability | Bars | Stack


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot. ``caption`` says what is to be seen; a ``small`` one stands beside others."""

    plot: Plot
    caption: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage, or an answer, of an example. ``marks`` are facts on it, in words."""

    title: str
    text: str
    marks: tuple[str, ...] = ()
    good: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """A query, what is to be known of it, and what was found or answered."""

    query: str
    facts: tuple[tuple[str, str], ...]
    passages: tuple[Passage, ...]


Block = Note | Table | Figure | Example


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part. A ``detail`` is folded on the page and left out in the terminal."""

    title: str
    blocks: tuple[Block, ...]
    detail: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One report: the one figure that sums it up, and the line on its run below the title."""

    title: str
    headline: str
    facts: str
    sections: Sequence[Section]
