"""A profile as one HTML page: no scripts, no requests, a table of cells for each domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from expertrag_lab.surgery.card_text import one_line
from expertrag_lab.surgery.profiling.heat_map import HeatMap, HeatRow

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 75rem;
  color: #1b1f24; background: #fff; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 400; text-align: right; padding: 0 .6rem 0 0; white-space: nowrap; }
td { min-width: .8rem; height: 1.1rem; border: 1px solid #fff; text-align: center; font-size: .7rem;
  background: rgba(9, 105, 218, var(--h)); }
td.none { background: #f0f1f3; }
td.super { outline: 2px solid #cf222e; outline-offset: -2px; color: #cf222e; }
td.share { background: none; padding-left: .6rem; font-size: .9rem; text-align: right; }
"""


def profile_page(maps: Sequence[HeatMap]) -> str:
    """Return the page of heat maps of one model and method."""
    title = escape(one_line(f"Experts of {maps[0].model}"))
    body = "\n".join(line for shown in maps for line in _section(shown))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
<h1>{title}</h1>
<p>Importance by {escape(maps[0].method)}: full colour for the layer's most important expert, an
eighth less for each factor of three below it. A frame marks super experts; grey experts were not
used. On the right, the share of the layer's importance that the more important half of its experts
holds.</p>
{body}
</html>
"""


def _section(shown: HeatMap) -> Iterator[str]:
    yield f"<h2>{escape(one_line(', '.join(shown.domains)))}</h2>"
    yield (
        f"<p>{shown.tokens:,} tokens. The more important half of the experts holds "
        f"{shown.top_half:.1%} of the importance.</p>"
    )
    yield "<div><table>"
    yield from map(_row, shown.layers)
    yield "</table></div>"


def _row(row: HeatRow) -> str:
    cells = "".join(_cell(row, expert, heat) for expert, heat in enumerate(row.heat))
    share = f'<td class="share">{row.top_half:.0%}</td>'
    return f'<tr><th scope="row">layer {row.layer}</th>{cells}{share}</tr>'


def _cell(row: HeatRow, expert: int, heat: float) -> str:
    is_super = expert in row.super_experts
    kind = "super" if is_super else "" if heat else "none"
    named = f' class="{kind}"' if kind else ""
    title = f"layer {row.layer}, expert {expert}: {row.importance[expert]:.3g}"
    mark = "◆" if is_super else ""
    return f'<td{named} style="--h:{heat:.3f}" title="{title}">{mark}</td>'
