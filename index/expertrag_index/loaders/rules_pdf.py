"""Finds the tables that lines on a PDF page rule: their columns and rows, and where cells merge."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

_NEAR = 3.0
"""Points between lines that are one."""
_THIN = 3.0
"""Points of a rectangle that is a line."""
_SHORTEST = 4.0
_MOST_SEGMENTS = 20_000
_MOST_RULES = 200
_MOST_CELLS = 2_000


class Rule(NamedTuple):
    """A line: at ``at`` across, from ``start`` to ``end`` along, in points."""

    at: float
    start: float
    end: float


class GridCell(NamedTuple):
    """A cell of a ruled table by the numbers of its rows and columns; the ends are exclusive."""

    top: int
    left: int
    bottom: int
    right: int


class Grid(NamedTuple):
    """The lines of a table: ``xs`` from the left, ``ys`` from the top; and its cells in order."""

    xs: Sequence[float]
    ys: Sequence[float]
    cells: Sequence[GridCell]


_Matrix = tuple[float, float, float, float, float, float]


def grids_of(paths: Iterable[tuple[Any, Sequence[Any]]]) -> list[Grid]:
    """Find the ruled tables of a page, the highest first.

    :param paths: the paths that the page draws, each with the forms that hold it, the inner first.
    """
    drawn = list(paths)
    if sum(pdfium.FPDFPath_CountSegments(path) for path, _ in drawn) > _MOST_SEGMENTS:
        return []
    upright: list[Rule] = []
    level: list[Rule] = []
    for x0, y0, x1, y1 in _segments(drawn):
        if abs(x1 - x0) < 1 <= abs(y1 - y0):
            upright.append(Rule((x0 + x1) / 2, min(y0, y1), max(y0, y1)))
        elif abs(y1 - y0) < 1 <= abs(x1 - x0):
            level.append(Rule((y0 + y1) / 2, min(x0, x1), max(x0, x1)))
    upright, level = _merge(upright), _merge(level)
    if len(upright) < 3 or len(level) < 3 or len(upright) + len(level) > _MOST_RULES:
        return []
    grids = (_grid(*rules) for rules in _group_meeting(upright, level))
    return sorted((each for each in grids if each), key=lambda grid: -grid.ys[0])


def _segments(
    paths: Iterable[tuple[Any, Sequence[Any]]],
) -> Iterator[tuple[float, float, float, float]]:
    """Yield the straight lines of paths; a thin rectangle is a line."""
    for path, forms in paths:
        points: list[tuple[float, float]] = []
        matrices = [_matrix(each) for each in (path, *forms)]
        for part in _parts(path):
            points = [_transform(point, matrices) for point in part]
            xs, ys = [x for x, _ in points], [y for _, y in points]
            left, right, low, high = min(xs), max(xs), min(ys), max(ys)
            if len(points) > 3 and right - left < _THIN <= high - low:
                yield (left + right) / 2, low, (left + right) / 2, high
            elif len(points) > 3 and high - low < _THIN <= right - left:
                yield left, (low + high) / 2, right, (low + high) / 2
            else:
                yield from ((*one, *two) for one, two in pairwise(points))


def _parts(path: Any) -> Iterator[list[tuple[float, float]]]:
    """Yield the corners of each part of a path that is drawn, without the parts with curves."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(path, ctypes.byref(fill), ctypes.byref(stroke))
    if not fill.value and not stroke.value:
        return
    points: list[tuple[float, float]] = []
    x, y = ctypes.c_float(), ctypes.c_float()
    for number in range(pdfium.FPDFPath_CountSegments(path)):
        segment = pdfium.FPDFPath_GetPathSegment(path, number)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
        if kind != pdfium.FPDF_SEGMENT_LINETO:
            if len(points) > 1:
                yield points
            points = []
        points.append((x.value, y.value))
        if pdfium.FPDFPathSegment_GetClose(segment) and len(points) > 2:
            points.append(points[0])
    if len(points) > 1:
        yield points


def _matrix(item: Any) -> _Matrix:
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(item, ctypes.byref(matrix))
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _transform(point: tuple[float, float], matrices: Sequence[_Matrix]) -> tuple[float, float]:
    x, y = point
    for a, b, c, d, e, f in matrices:
        x, y = a * x + c * y + e, b * x + d * y + f
    return x, y


def _merge(rules: list[Rule]) -> list[Rule]:
    """Join lines that lie on each other or continue each other."""
    merged: list[Rule] = []
    for line in _near(sorted(rules)):
        at = sum(rule.at for rule in line) / len(line)
        for rule in sorted(line, key=lambda rule: rule.start):
            if merged and merged[-1].at == at and rule.start <= merged[-1].end + _NEAR:
                merged[-1] = Rule(at, merged[-1].start, max(rule.end, merged[-1].end))
            else:
                merged.append(Rule(at, rule.start, rule.end))
    return [rule for rule in merged if rule.end - rule.start >= _SHORTEST]


def _near(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    """Yield groups of lines, which are in order, that lie close to the first of their group."""
    group: list[Rule] = []
    for rule in rules:
        if group and rule.at - group[0].at > _NEAR:
            yield group
            group = []
        group.append(rule)
    if group:
        yield group


def _group_meeting(
    upright: Sequence[Rule], level: Sequence[Rule]
) -> Iterator[tuple[list[Rule], list[Rule]]]:
    """Yield groups of lines that meet."""
    left = {*range(len(upright))}, {*range(len(level))}
    while left[0]:
        todo = [(0, left[0].pop())]
        groups: tuple[list[Rule], list[Rule]] = ([], [])
        while todo:
            side, number = todo.pop()
            rule = (upright, level)[side][number]
            groups[side].append(rule)
            others = (level, upright)[side]
            meeting = [other for other in left[1 - side] if _meet(rule, others[other])]
            left[1 - side].difference_update(meeting)
            todo += [(1 - side, other) for other in meeting]
        yield groups


def _meet(one: Rule, other: Rule) -> bool:
    return (
        one.start - _NEAR <= other.at <= one.end + _NEAR
        and other.start - _NEAR <= one.at <= other.end + _NEAR
    )


def _grid(upright: list[Rule], level: list[Rule]) -> Grid | None:
    xs = [group[0].at for group in _near(sorted(upright))]
    ys = [group[0].at for group in _near(sorted(level))][::-1]
    if len(xs) < 3 or len(ys) < 3 or len(xs) * len(ys) > _MOST_CELLS:
        return None
    bands = [_edges(upright, xs, ys[row + 1], ys[row]) for row in range(len(ys) - 1)]
    cells: list[GridCell] = []
    ended: set[tuple[int, int]] = set()
    for row, edges in enumerate(bands):
        for left, right in pairwise(edges):
            if (row, left) in ended:
                continue
            bottom = row + 1
            while bottom < len(bands) and not _is_ruled(level, ys[bottom], xs[left], xs[right]):
                if left not in bands[bottom] or right not in bands[bottom]:
                    break
                ended.add((bottom, left))
                bottom += 1
            cells.append(GridCell(row, left, bottom, right))
    return Grid(xs, ys, cells)


def _edges(upright: Sequence[Rule], xs: Sequence[float], low: float, high: float) -> list[int]:
    """Return the lines that bound the cells of a row; all of them if it has none of its own."""
    middle = (low + high) / 2
    edges = [
        number
        for number, x in enumerate(xs)
        if any(abs(rule.at - x) <= _NEAR and rule.start <= middle <= rule.end for rule in upright)
    ]
    inner = [number for number in edges if 0 < number < len(xs) - 1]
    if not inner and len(edges) < 2:
        return list(range(len(xs)))
    return sorted({0, *inner, len(xs) - 1})


def _is_ruled(level: Sequence[Rule], y: float, left: float, right: float) -> bool:
    middle = (left + right) / 2
    return any(abs(rule.at - y) <= _NEAR and rule.start <= middle <= rule.end for rule in level)
