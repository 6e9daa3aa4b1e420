"""Figures inside sentences of the documentation, filled in from lab/results.

    <!-- mixed.json: figures/search/squad2/after/mean; .3f -->.899<!-- / -->

Before the semicolon: a path into the file. A step is a key, a place in a list, or the ``name`` or
``set`` of an item. ``[key=value]`` selects items of a list by other keys; there are also ``!=``,
``<=``, ``>=``, and ``~`` (contains). ``min`` or ``max`` before a path chooses among all that match.
``minus`` and ``over`` stand between paths or numbers. After the semicolon: a format of Python. A
zero before the point is only written if the format begins with 0 or +0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from results_file import RESULTS

_MARKED = re.compile(r"<!-- (\w+)\.json: ([^;]+?); (\S+) -->([^<>\n]*)<!-- / -->")
_BEGUN = re.compile(r"(^ *)?<!-- \w+\.json:", re.MULTILINE)
_SELECT = re.compile(r"\[([^]=!<>~]+)(!=|<=|>=|=|~)([^]]*)\]")
_WRONG = (LookupError, ValueError, TypeError, OSError)
_OPERATIONS: Mapping[str, Callable[[float, float], float]] = {
    "minus": lambda one, other: one - other,
    "over": lambda one, other: one / other,
}
_COMPARISONS: Mapping[str, Callable[[Any, str], bool]] = {
    "=": lambda found, wanted: str(found) == wanted,
    "!=": lambda found, wanted: str(found) != wanted,
    "<=": lambda found, wanted: float(found) <= float(wanted),
    ">=": lambda found, wanted: float(found) >= float(wanted),
    "~": lambda found, wanted: wanted in str(found),
}


def filled(text: str) -> str:
    """Return a page with its figures as they are in the files; wrong paths are left alone."""

    def fill(found: re.Match[str]) -> str:
        try:
            right = figure(found[1], found[2], found[3])
        except _WRONG:
            return found[0]
        return f"{found[0][: found.start(4) - found.start()]}{right}<!-- / -->"

    return _MARKED.sub(fill, text)


def wrong(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each figure that is not as in its file, and what is wrong with it."""
    starts = set()
    for found in _MARKED.finditer(text):
        starts.add(found.start())
        try:
            right = figure(found[1], found[2], found[3])
        except _WRONG as error:
            yield _line(text, found.start()), f"no {found[2]} in {found[1]}.json: {error}"
            continue
        if found[4] != right:
            yield _line(text, found.start(4)), f"{found[4]} is {right} in {found[1]}.json"
    for found in _BEGUN.finditer(text):
        line = _line(text, found.end())
        if found[1] is not None:
            yield line, "a marker at the start of a line makes it HTML"
        elif found.start() not in starts:
            yield line, "not closed by <!-- / -->"


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def figure(name: str, path: str, form: str) -> str:
    """Return a figure of a file as it is written.

    :raises LookupError: there is none at this path, or more than one.
    """
    first, *rest = re.split(r" (minus|over) ", " ".join(path.split()))
    value = _value(name, first)
    for operator, other in zip(rest[::2], rest[1::2], strict=True):
        value = _OPERATIONS[operator](value, _value(name, other))
    return shown(value, form)


def shown(value: Any, form: str) -> str:
    """Write a figure: .5 for 0.5 unless the format begins with 0, and ``%`` after a space."""
    text = format(value, form)
    if form.endswith("%"):
        return f"{text[:-1]} %"
    if form.lstrip("+").startswith("0"):
        return text
    return re.sub(r"^([+-]?)0\.", r"\1.", text)


def _value(name: str, path: str) -> Any:
    if re.fullmatch(r"[\d.]+", path):
        return float(path)
    word, _, rest = path.partition(" ")
    choose = {"min": min, "max": max}.get(word)
    found = _found([_loaded(name)], (rest if choose else path).split("/"))
    if choose and found:
        return choose(found)
    if len(found) != 1:
        raise LookupError(f"{len(found)} figures")
    return found[0]


def _found(items: list[Any], steps: Sequence[str]) -> list[Any]:
    """Follow the steps of a path; every item that matches is found."""
    for step in steps:
        key, tests = _SELECT.sub("", step), _SELECT.findall(step)
        items = [value for item in items for value in _children(item, key)]
        if tests:
            items = [one for value in items for one in value]
        for name, comparison, wanted in tests:
            items = [one for one in items if _COMPARISONS[comparison](one[name], wanted)]
    return items


def _children(item: Any, key: str) -> list[Any]:
    if isinstance(item, dict):
        return [item[key]] if key in item else []
    if not isinstance(item, list):
        return []
    if key.isdigit():
        return [item[int(key)]]
    named = (one for one in item if isinstance(one, dict))
    return [one for one in named if key in (one.get("name"), one.get("set"))]


@cache
def _loaded(name: str) -> Any:
    return json.loads(Path(RESULTS / f"{name}.json").read_text("utf-8"))
