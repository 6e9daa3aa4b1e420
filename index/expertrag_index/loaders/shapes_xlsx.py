"""Reads what stands on the cells of an Excel sheet: comments, text boxes, charts, pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from expertrag_index.loaders.drawings import chart_lines, describe_picture, diagram_lines, lines_of
from expertrag_index.loaders.ooxml import Package, is_fallback, local_name, qn
from expertrag_index.loaders.sheets_xlsx import area_of

_CHARTS = tuple(map(qn, ("c:chart", "cx:chart")))
_DIAGRAM, _NAMES, _SHAPE = qn("dgm:relIds"), qn("xdr:cNvPr"), qn("xdr:sp")


def comments_of(package: Package, sheet: str, where: str) -> dict[int, list[str]]:
    """Return the lines of the comments on a sheet by the number of their row.

    A thread of comments is also stored as one for old programs, which is left out.
    """
    comments: defaultdict[int, list[str]] = defaultdict(list)
    threads = package.find_related(sheet, "threadedComment")
    for name in threads or package.find_related(sheet, "comments"):
        root = package.root(name, where)
        for each in root.iter() if root is not None else ():
            area = area_of(each.get("ref", "")) if local_name(each).endswith("omment") else None
            text = " ".join(_comment(each).split()) if area else ""
            if area and text:
                comments[area.top].append(f"Comment on {each.get('ref')}: {text}")
    return dict(comments)


def drawing_lines(
    package: Package, sheet: str, hidden_sheets: Sequence[str], where: str
) -> Iterator[str]:
    """Yield the texts of the shapes over a sheet, and titles and labels of its charts.

    The numbers of a chart are cells; they are written if the cells are on a hidden sheet.
    """
    for name in package.find_related(sheet, "drawing"):
        root = package.root(name, where)
        for element in root.iter() if root is not None else ():
            if is_fallback(element):
                continue
            if element.tag == _SHAPE:
                yield from lines_of(element)
            elif element.tag == _NAMES:
                yield from filter(None, [describe_picture(element)])
            elif element.tag in _CHARTS:
                root = package.root(package.target(name, element.get(qn("r:id"))), where)
                if root is not None:
                    yield from chart_lines(root, points=_is_hidden(root, hidden_sheets))
            elif element.tag == _DIAGRAM:
                root = package.root(package.target(name, element.get(qn("r:dm"))), where)
                yield from diagram_lines(root) if root is not None else ()


def _comment(element: Any) -> str:
    """Return the text of a comment, without the reading of its characters."""
    texts = (each for each in element.iter() if local_name(each) in ("t", "text"))
    return "".join(each.text or "" for each in texts if local_name(each.getparent()) != "rPh")


def _is_hidden(chart: Any, hidden_sheets: Sequence[str]) -> bool:
    """Whether the cells of a chart are on a hidden sheet, or in another file."""
    formulas = [each.text or "" for each in chart.iter(qn("c:f"), qn("cx:f"))]
    sheets = {each.rpartition("!")[0].strip("'").replace("''", "'") for each in formulas}
    return not formulas or any(name in hidden_sheets or "[" in name for name in sheets)
