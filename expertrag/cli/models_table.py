"""Table of the package models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from expertrag.models import ModelState

_GAP = "  "


@dataclass(frozen=True, slots=True)
class _Column:
    """A column; a narrow terminal drops the columns of the highest ``rank`` first."""

    title: str
    cell: Callable[[ModelState], str]
    rank: int = 0
    left: bool = False


def table(models: Sequence[ModelState], width: int) -> Iterator[str]:
    """Yield the lines of the table and of its notes.

    :param width: width of the terminal in characters.
    """
    columns, left_out = _fitting(models, width)
    rows = {model.name: [column.cell(model) for column in columns] for model in models}
    titles = [column.title for column in columns]
    widths = [max(map(len, cells)) for cells in zip(titles, *rows.values(), strict=True)]

    def line(cells: Sequence[str]) -> str:
        return _GAP.join(
            cell.ljust(wide) if column.left else cell.rjust(wide)
            for cell, wide, column in zip(cells, widths, columns, strict=True)
        ).rstrip()

    for number, role in enumerate(dict.fromkeys(model.role for model in models)):
        if number:
            yield ""
        yield line([role, *titles[1:]]) if not number else role
        for model in models:
            if model.role == role:
                yield line(rows[model.name])
    yield ""
    yield from _notes(models)
    if left_out:
        yield f"{' and '.join(left_out)}: shown in a wider terminal, or with --json"


def _fitting(models: Sequence[ModelState], width: int) -> tuple[list[_Column], list[str]]:
    columns, left_out = list(_columns(models)), []
    while _width(columns, models) > width and max(column.rank for column in columns):
        least = max(reversed(columns), key=lambda column: column.rank)
        columns.remove(least)
        left_out.append(least.title)
    return columns, left_out


def _width(columns: Sequence[_Column], models: Sequence[ModelState]) -> int:
    cells = [[column.title, *map(column.cell, models)] for column in columns]
    return sum(max(map(len, column)) for column in cells) + len(_GAP) * (len(columns) - 1)


def _columns(models: Sequence[ModelState]) -> Iterator[_Column]:
    yield _Column("name", lambda model: model.name, left=True)
    yield _Column("state", lambda model: model.state, left=True)
    yield _Column("params", lambda m: _short(m.parameters, "B") if m.parameters else "")
    yield _Column("active", lambda m: _short(m.active, "B") if m.active else "", rank=2)
    yield _Column("disk", _disk)
    yield _Column("RAM", _memory)
    yield _Column("tok/s", lambda m: f"{m.speed.tokens_per_s:.0f}" if m.speed else "")
    yield _Column("first", lambda m: f"{m.speed.first_token_s:.1f} s" if m.speed else "")
    for name in dict.fromkeys(name for model in models for name in model.answers):
        yield _Column(name, partial(_share, name), rank=1)
    yield _Column("licence", lambda model: model.licence, rank=3, left=True)


def _notes(models: Sequence[ModelState]) -> Iterator[str]:
    generators = [model for model in models if model.role == "generator"]
    if any(model.speed for model in generators):
        yield "tok/s: tokens per second; first: time to the first token, for a five-passage prompt;"
        yield "RAM: peak resident memory; all measured on this machine"
    if not all(model.speed for model in generators):
        yield "tok/s, first: run `expertrag models bench [NAME]` to measure them on this machine"
    if not all(model.speed and model.size_bytes for model in generators):
        yield "~: measured on another machine"
    if any(model.answers for model in models):
        yield "data set columns: share of questions answered correctly from five passages"
    for model in models:
        if model.state == "damaged":
            yield model.problem


def _disk(model: ModelState) -> str:
    return _short(model.size_bytes) if model.size_bytes else f"~{_short(model.disk_bytes)}"


def _memory(model: ModelState) -> str:
    if model.speed:
        return _short(model.speed.memory_bytes)
    return f"~{_short(model.memory_bytes)}" if model.memory_bytes else ""


def _short(number: int, billions: str = "G") -> str:
    return f"{number / 1e9:.1f}{billions}" if number >= 999.5e6 else f"{number / 1e6:.0f}M"


def _share(name: str, model: ModelState) -> str:
    share = model.answers.get(name)
    return "" if share is None else f"{share:.2f}".lstrip("0")
