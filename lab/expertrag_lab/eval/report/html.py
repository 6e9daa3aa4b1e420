"""Render reports as one self-contained HTML page: no scripts, no requests, embedded plots."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report import plots
from expertrag_lab.eval.report.blocks import Block, Figure
from expertrag_lab.eval.report.sections import build

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "page.html.j2"


def render(reports: Sequence[Mapping[str, JSON]]) -> str:
    """Render reports as HTML."""
    parts = [build(report) for report in reports]
    return _environment().get_template(TEMPLATE).render(parts=parts)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("expertrag_lab.eval.report"),
        autoescape=True,  # names and texts come from data sets
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(kind=_kind, svg=_svg, wide=plots.WIDE, narrow=plots.NARROW)
    return environment


def _kind(block: Block) -> str:
    return type(block).__name__


def _svg(figure: Figure, width: float) -> str:
    """Return a plot as a data URL: embedded, and with ids that cannot clash between plots."""
    drawn = plots.draw(figure.plot, width, legend=not figure.small)
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"
