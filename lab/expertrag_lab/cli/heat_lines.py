"""A heat map of a mixture's experts in the terminal: a line for each layer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from expertrag.cli.output import one_line, without_colour

if TYPE_CHECKING:
    from expertrag_lab.surgery.profiling.heat_map import HeatMap, HeatRow

LEVELS = "▁▂▃▄▅▆▇█"
UNUSED, SUPER = "·", "◆"
NO_TERMINAL = 100
"""Width in characters without a terminal."""
_LEAST = 40  # of lines of words
_SHARE = len(" 100%")


def heat_lines(shown: HeatMap, width: int) -> Iterator[str]:
    """Yield the lines; experts that do not fit a line share a character.

    :param width: of the terminal, in characters.
    """
    numbers = max(len(str(row.layer)) for row in shown.layers)
    experts = len(shown.layers[0].importance)
    room = max(8, width - len("layer ") - numbers - 1 - _SHARE)
    together = -(-experts // room)
    title = one_line(f"{shown.model}: {shown.method}, {', '.join(shown.domains)}")
    yield from textwrap.wrap(title, max(width, _LEAST))
    for row in shown.layers:
        cells = _cells(row, together)
        yield f"layer {row.layer:>{numbers}} {cells}{f'{row.top_half:.0%}':>{_SHARE}}"
    for line in _legend(shown, together):
        yield from textwrap.wrap(line, max(width, _LEAST))


def _legend(shown: HeatMap, together: int) -> Iterator[str]:
    each = "an expert" if together == 1 else f"the most important of {together} experts"
    yield (
        f"a character is {each}: {LEVELS[0]} to {LEVELS[-1]} in factors of three, up to its "
        f"layer's most important, {UNUSED} not used"
    )
    yield f"the more important half of the experts holds {shown.top_half:.1%} of the importance"
    supers = [f"{row.layer}:{expert}" for row in shown.layers for expert in row.super_experts]
    yield f"{SUPER} super experts (layer:expert): {', '.join(supers) or 'none'}"


def _cells(row: HeatRow, together: int) -> str:
    heat, supers = row.heat, set(row.super_experts)
    places = range(len(heat))
    return "".join(
        _super() if supers & set(some) else _level([heat[expert] for expert in some])
        for some in (places[start : start + together] for start in places[::together])
    )


def _level(heat: Sequence[float]) -> str:
    most = max(heat)
    return LEVELS[min(int(most * len(LEVELS)), len(LEVELS) - 1)] if most else UNUSED


def _super() -> str:
    """Return the mark of a super expert, in red; only a terminal gets the codes."""
    return SUPER if without_colour() else click.style(SUPER, fg="red", bold=True)
