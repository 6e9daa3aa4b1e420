"""Draw plots as SVG, in a width for laptops or one for phones.

Colours are the colour-blind-safe palette of Okabe & Ito (2008); markers, dashes and hatches encode
the same information. Legends are outside the axes, so that no label covers another.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expertrag_lab.eval.report.blocks import Bars, Curves, Mark, Plot, Reliability, Stack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = 7.2, 3.7
"""Widths in inches of 96 pixels: the text column on a laptop and on a phone."""

SQUARE = 4.8
"""Maximum width of a plot with equal scales on both axes."""

_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
_HATCHES = ("", "///", "\\\\\\", "xxx", "---", "|||", "+++")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_FIXED = {
    "never": 0,
    "always": 1,
    "gate": 2,
    "gate, any threshold": 2,
    "auto": 2,
    "oracle": 3,
    "multi_step": 4,
}
"""Fixed styles of policies, the same in all plots; other names take the next free style."""

_STYLE: dict[Any, Any] = {
    "font.size": 10.0,
    "font.family": "DejaVu Sans",  # bundled with matplotlib: the same plot everywhere
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # names of data sets may contain dollar signs
    "svg.hashsalt": "expertrag",  # the same report gives the same bytes
}
_GREY = "#666666"


def draw(plot: Plot, width: float = WIDE, *, legend: bool = True) -> str:
    """Draw a plot as SVG, ``width`` inches wide; the height follows from the content."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if isinstance(plot, Reliability):
        width = min(width, SQUARE)
    with rc_context(_STYLE):
        figure = Figure(layout="constrained")
        if isinstance(plot, Curves):
            axes, height = _curves(figure, plot, width)
        elif isinstance(plot, Reliability):
            axes, height = _reliability(figure, plot, width)
        elif isinstance(plot, Bars):
            axes, height = _bars(figure, plot, width)
        else:
            axes, height = _stack(figure, plot, width)
        figure.set_size_inches(width, height)
        if legend:
            _legend(figure, axes)
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue().decode()


def _curves(figure: Figure, plot: Curves, width: float) -> tuple[Axes, float]:
    axes = figure.add_subplot()
    styles = _styles([*(m.name for m in plot.marks), *(line.name for line in plot.lines)])
    for line in plot.lines:
        style = styles[line.name]
        x, y = zip(*line.points, strict=True)
        if line.dashed:
            axes.plot(x, y, color=_GREY, linestyle=":", linewidth=1.4, label=line.name)
        else:
            dash = _DASHES[style % len(_DASHES)] if not plot.marks else "-"
            axes.plot(x, y, color=_colour(style), linestyle=dash, linewidth=1.6, label=line.name)
    for position, mark in enumerate(plot.marks):
        covering, crossing = _covering(plot.marks, position), _crossing(plot.marks, position)
        _mark(axes, mark, styles[mark.name], covering, crossing)
    axes.set_xlim(-0.03, 1.03)
    if plot.from_zero:
        axes.set_ylim(bottom=0.0)
    height = 0.55 * width + 0.5
    _label(axes, plot.x_label, plot.y_label, width, height)
    return axes, height


def _mark(axes: Axes, mark: Mark, style: int, covering: int, crossing: int) -> None:
    """Draw a point with its interval.

    If later points cover it, it is a larger ring. If later intervals cross its interval, this is a
    pale band, wider the more intervals cross it.

    :param covering: number of points that cover it.
    :param crossing: number of intervals that cross its interval.
    """
    error = None
    if mark.low is not None and mark.high is not None:  # rounding may move an end past the point
        error = [[max(0.0, mark.y - mark.low)], [max(0.0, mark.high - mark.y)]]
    axes.errorbar(
        [mark.x],
        [mark.y],
        yerr=error,
        fmt=_MARKERS[style % len(_MARKERS)],
        color=_colour(style),
        ecolor=(_colour(style), 0.4 if crossing else 1.0),
        markersize=8 + 5 * covering,
        markerfacecolor="none" if covering else _colour(style),
        markeredgecolor=_colour(style) if covering else "white",
        markeredgewidth=1.8 if covering else 1.0,
        capsize=3 + 2 * crossing,
        elinewidth=1.0 + 6.0 * crossing,
        clip_on=False,
        label=mark.name,
    )


def _covering(marks: Sequence[Mark], position: int) -> int:
    """Count the later points at the same position, within half a marker's size."""
    ends = [y for mark in marks for y in (mark.y, mark.low, mark.high) if y is not None]
    mark, near = marks[position], 0.02 * (max(ends) - min(ends))
    return sum(
        abs(other.x - mark.x) <= 0.02 and abs(other.y - mark.y) <= near
        for other in marks[position + 1 :]
    )


def _crossing(marks: Sequence[Mark], position: int) -> int:
    """Count the later points whose intervals overlap the interval of one."""
    mark = marks[position]
    return sum(
        abs(other.x - mark.x) <= 0.01
        and _least(other) <= _most(mark)
        and _least(mark) <= _most(other)
        for other in marks[position + 1 :]
    )


def _least(mark: Mark) -> float:
    return mark.y if mark.low is None else mark.low


def _most(mark: Mark) -> float:
    return mark.y if mark.high is None else mark.high


def _reliability(figure: Figure, plot: Reliability, width: float) -> tuple[Axes, float]:
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1.0))
    highest = max(max(bar.predicted, bar.observed) for bar in plot.bins)
    limit = min(1.0, math.ceil(highest * 10 + 0.5) / 10)
    axes.plot([0, limit], [0, limit], color=_GREY, linestyle=":", label="perfectly calibrated")
    x = [bar.predicted for bar in plot.bins]
    axes.plot(
        x, [bar.observed for bar in plot.bins], "o-", color=_PALETTE[0], label="gate", clip_on=False
    )
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    height = 1.15 * width
    _label(axes, "", plot.y_label, width, height)
    drawn = counts.bar(x, [bar.n for bar in plot.bins], width=limit / 24, color=_PALETTE[0])
    counts.bar_label(drawn, fontsize=9, padding=1)
    counts.margins(y=0.35)
    counts.grid(visible=False)
    counts.set_yticks([])
    _label(counts, plot.x_label, "questions", width, height)
    return axes, height


def _bars(figure: Figure, plot: Bars, width: float) -> tuple[Axes, float]:
    axes = figure.add_subplot()
    thick = 0.8 / len(plot.series)
    styles = _styles(plot.series)
    for place, (name, bars) in enumerate(zip(plot.series, plot.values, strict=True)):
        style = styles[name]
        rows = [(row, bar) for row, bar in enumerate(bars) if bar.value is not None]
        heights = [row - 0.4 + thick * (place + 0.5) for row, _ in rows]
        values = [bar.value or 0.0 for _, bar in rows]
        axes.barh(
            heights,
            values,
            thick * 0.92,
            color=_colour(style),
            hatch=_HATCHES[style % len(_HATCHES)],
            edgecolor="white",
            linewidth=0,
            label=name,
        )
        known = [
            (height, bar)
            for height, (_, bar) in zip(heights, rows, strict=True)
            if bar.low is not None and bar.high is not None
        ]
        axes.hlines(
            [height for height, _ in known],
            [bar.low or 0.0 for _, bar in known],
            [bar.high or 0.0 for _, bar in known],
            color="black",
            linewidth=1.3,
        )
        for height, (_, bar) in zip(heights, rows, strict=True):
            if bar.value == 0:
                _nothing(axes, max(0.0, bar.high or 0.0), height)
    _rows(axes, plot.groups, width)
    axes.set_xlim(left=0.0)
    height = len(plot.groups) * (0.2 * len(plot.series) + 0.16) + 0.7
    _label(axes, plot.x_label, "", width, height)
    return axes, height


def _nothing(axes: Axes, x: float, y: float) -> None:
    """Label a bar of length 0, which would otherwise look like a missing one."""
    axes.annotate("0", (x, y), (4, 0), textcoords="offset points", va="center", fontsize=9)


def _stack(figure: Figure, plot: Stack, width: float) -> tuple[Axes, float]:
    axes = figure.add_subplot()
    left = [0.0] * len(plot.rows)
    for style, (name, values) in enumerate(zip(plot.parts, plot.values, strict=True)):
        axes.barh(
            range(len(plot.rows)),
            values,
            0.62,
            left=left,
            color=_colour(style),
            hatch=_HATCHES[style % len(_HATCHES)],
            edgecolor="white",
            linewidth=0.5,
            label=name,
        )
        left = [sum(pair) for pair in zip(left, values, strict=True)]
    for row, total in enumerate(left):
        axes.annotate(
            f"{total:.2f}" if total >= 0.1 else f"{total:.2g}",
            (total, row),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    _rows(axes, plot.rows, width)
    axes.set_xlim(0.0, max(left, default=0.0) * 1.2 or 1.0)
    height = 0.42 * len(plot.rows) + 0.8
    _label(axes, plot.x_label, "", width, height)
    return axes, height


def _rows(axes: Axes, names: Sequence[str], width: float) -> None:
    """Label the rows of horizontal bars, the first at the top."""
    letters = 16 if width < WIDE else 28
    axes.set_yticks(range(len(names)), [_fold(name, letters) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _label(axes: Axes, x_label: str, y_label: str, width: float, height: float) -> None:
    """Label the axes, wrapped to the size of the figure in inches."""
    axes.set_xlabel(textwrap.fill(x_label, int(width * 10)))
    axes.set_ylabel(textwrap.fill(y_label, int(height * 10)))


def _legend(figure: Figure, axes: Axes) -> None:
    """Put the legend above the axes, in as few rows as fit, and increase the figure's height."""
    handles, labels = axes.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    for columns in range(len(labels), 0, -1):
        legend = figure.legend(handles, labels, loc="outside upper center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width < width * figure.dpi:
            break
        legend.remove()
    figure.set_size_inches(width, height + 0.2 * math.ceil(len(labels) / columns) + 0.1)


def _styles(names: Sequence[str]) -> dict[str, int]:
    """Assign every name a number that determines colour, marker, dash and hatch."""
    styles = {name: _FIXED[name] for name in names if name in _FIXED}
    free = (number for number in range(len(names) + len(_FIXED)) if number not in styles.values())
    for name in names:
        if name not in styles:
            styles[name] = next(free)
    return styles


def _colour(style: int) -> str:
    return _PALETTE[style % len(_PALETTE)]


def _fold(name: str, letters: int) -> str:
    lines: list[Any] = textwrap.wrap(name, letters) or [""]
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")
