"""Content of a report, independent of the output format (text, Markdown or HTML).

``sections`` turns every kind of report into these blocks, so renderers do not depend on the kind.
Texts are plain; renderers escape them.
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
    """Rows of formatted cells. The first ``labels`` columns are words, the others figures."""

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
class ReliabilityBin:
    """A bin of predictions: mean prediction, mean outcome, and number of predictions."""

    predicted: float
    observed: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Outcomes against predictions, with the counts of predictions below."""

    x_label: str
    y_label: str
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval; None draws no bar."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Grouped horizontal bars: ``values[series][group]``."""

    x_label: str
    groups: tuple[str, ...]
    series: tuple[str, ...]
    values: tuple[tuple[Bar, ...], ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """Stacked horizontal bars: ``values[part][row]``."""

    x_label: str
    rows: tuple[str, ...]
    parts: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


Plot = Curves | Reliability | Bars | Stack


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its ``caption``; ``small`` plots are placed next to each other."""

    plot: Plot
    caption: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class ShownPassage:
    """A passage, or an answer, of an example. ``marks`` are short remarks on it."""

    title: str
    text: str
    marks: tuple[str, ...] = ()
    good: bool = False


@dataclass(frozen=True, slots=True)
class ShownExample:
    """A query, facts about it, and the passages found or the answer given."""

    query: str
    facts: tuple[tuple[str, str], ...]
    passages: tuple[ShownPassage, ...]


Block = Note | Table | Figure | ShownExample


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A section with a title. A ``detail`` is collapsed in HTML and omitted in the terminal."""

    title: str
    blocks: tuple[Block, ...]
    detail: bool = False


@dataclass(frozen=True, slots=True)
class ReportPart:
    """One report: title, headline figure, a line of facts about the run, and sections."""

    title: str
    headline: str
    facts: str
    sections: Sequence[ReportSection]
