"""Writes what Office files draw: paragraphs of shapes, charts, SmartArt, descriptions of pictures.

Word, PowerPoint and Excel files hold these in the same elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from expertrag_index.loaders.cells import write_table
from expertrag_index.loaders.columns import TableCell
from expertrag_index.loaders.formulas import FORMULA, formula
from expertrag_index.loaders.number_formats import GENERAL, format_number
from expertrag_index.loaders.ooxml import Package, is_fallback, number_of, qn

_PARAGRAPH, _TEXT, _BREAK = qn("a:p"), qn("a:t"), qn("a:br")
_LEVEL = qn("a:pPr")
_CHART, _NEW_CHART, _DIAGRAM = qn("c:chart"), qn("cx:chart"), qn("dgm:relIds")
_ID, _DATA_ID = qn("r:id"), qn("r:dm")
_POINT, _NEW_POINT = qn("c:pt"), qn("cx:pt")

_Values = Mapping[int, str]


class _Series(NamedTuple):
    """Texts of a series by the number of a point, as the chart writes them."""

    name: str
    categories: _Values
    columns: tuple[_Values, ...]


def lines_of(element: Any) -> list[str]:
    """Return the paragraphs below an element that have text, items of lists with ``- ``."""
    return [text for each in element.iter(_PARAGRAPH) if (text := _paragraph(each))]


def text_of(paragraph: Any) -> str:
    """Return the text of a paragraph or cell in one line."""
    parts: list[str] = []
    for item in paragraph.iter(_TEXT, _BREAK, FORMULA):
        if item.tag == FORMULA:
            parts.append(formula(item))
        else:
            parts.append(" " if item.tag == _BREAK else item.text or "")
    return " ".join("".join(parts).split())


def describe_picture(properties: Any) -> str:
    """Write the description of a picture or chart; empty if it has none.

    :param properties: the element with the name of the shape, or None.
    """
    text = " ".join((properties.get("descr") or "").split()) if properties is not None else ""
    return f"[Image: {text}]" if text else ""


def drawings_of(element: Any) -> list[Any]:
    """Return what refers to the charts and diagrams below an element."""
    return [each for each in element.iter(_CHART, _NEW_CHART, _DIAGRAM) if not is_fallback(each)]


def read_drawings(
    package: Package, part: str, references: Iterable[Any], where: str
) -> Iterator[str]:
    """Yield the lines of charts and diagrams.

    :param part: the name of the part that refers to them.
    :param references: of `drawings_of`.
    :param where: how a report names them.
    """
    for reference in references:
        is_chart = reference.tag != _DIAGRAM
        name = package.target(part, reference.get(_ID if is_chart else _DATA_ID))
        root = package.root(name, where)
        if root is not None:
            yield from chart_lines(root) if is_chart else diagram_lines(root)


def diagram_lines(root: Any) -> Iterator[str]:
    """Yield the texts of a SmartArt diagram as items of a list."""
    for paragraph in root.iter(_PARAGRAPH):
        if text := text_of(paragraph):
            yield f"- {text}"


def chart_lines(root: Any, *, points: bool = True) -> Iterator[str]:
    """Yield the titles and labels of a chart of any kind, then its numbers as a table.

    :param points: whether to write the numbers; False if the file shows them elsewhere.
    """
    yield from dict.fromkeys(lines_of(root))
    for plot in root.iter():
        series = [_series(each) for each in plot if each.tag == qn("c:ser")]
        while series:
            alike = [each for each in series if each.categories == series[0].categories]
            series = [each for each in series if each.categories != series[0].categories]
            yield from _table(alike) if points else [each.name for each in alike if each.name]
    if points:
        yield from _new_chart_lines(root)


def _paragraph(paragraph: Any) -> str:
    text = text_of(paragraph)
    properties = paragraph.find(_LEVEL)
    is_item = properties is not None and number_of(properties.get("lvl")) > 0
    return f"- {text}" if text and is_item else text


def _series(element: Any) -> _Series:
    named = element.find(qn("c:tx"))
    name = " ".join(_texts(named, qn("c:v"))) if named is not None else ""
    categories: _Values = {}
    for kind in ("cat", "xVal"):
        if (names := element.find(qn(f"c:{kind}"))) is not None:
            categories = _categories(names)
    values = (element.find(qn(f"c:{kind}")) for kind in ("val", "yVal", "bubbleSize"))
    return _Series(name, categories, tuple(_points(each) for each in values if each is not None))


def _texts(element: Any, tag: str) -> Iterator[str]:
    for each in element.iter(tag):
        if text := " ".join((each.text or "").split()):
            yield text


def _categories(element: Any) -> _Values:
    """Return the names of points; the name of a group stands before the names in it."""
    levels = [_points(level) for level in element.iter(qn("c:lvl"))]
    if not levels:
        return _points(element)
    names = dict(levels[0])
    for level in levels[1:]:
        group = ""
        for number in sorted(names):
            group = level.get(number, group)
            names[number] = f"{group} {names[number]}".strip()
    return names


def _points(element: Any) -> _Values:
    code = next(_texts(element, qn("c:formatCode")), GENERAL)
    points = {}
    for point in element.iter(_POINT):
        text = " ".join(_texts(point, qn("c:v")))
        points[number_of(point.get("idx"))] = _number(text, point.get("formatCode") or code)
    return points


def _number(text: str, code: str) -> str:
    try:
        return format_number(float(text), code)
    except (ValueError, OverflowError):
        return text


def _table(series: list[_Series]) -> Iterator[str]:
    columns = [column for each in series for column in each.columns]
    categories = series[0].categories
    rows = [
        [categories.get(number, ""), *(each.get(number, "") for each in columns)]
        for number in sorted({*categories, *(at for column in columns for at in column)})
    ]
    named = any(each.name for each in series)
    if named:
        names = [name for each in series for name in (each.name, *[""] * (len(each.columns) - 1))]
        rows.insert(0, ["", *names])
    cells = [[TableCell(text, at) for at, text in enumerate(row)] for row in rows]
    yield from write_table(cells, int(named)).strip().split("\n") if rows else ()


def _new_chart_lines(root: Any) -> Iterator[str]:
    """Yield the numbers of a chart of the kinds of 2016, such as a waterfall or a treemap."""
    for name in root.iter(qn("cx:txData")):
        yield from _texts(name, qn("cx:v"))
    for data in root.iter(qn("cx:data")):
        rows: dict[int, list[str]] = {}
        for level in data.iter(qn("cx:lvl")):
            for point in level.iter(_NEW_POINT):
                text = _number(
                    " ".join((point.text or "").split()), level.get("formatCode", GENERAL)
                )
                rows.setdefault(number_of(point.get("idx")), []).append(text)
        yield from (" | ".join(filter(None, rows[number])) for number in sorted(rows))
