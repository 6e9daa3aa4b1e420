"""Tables of lab/docs/measurements on prompt injection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head

_DEFENCES = {"undefended": "without", "defended": "with defences"}
_SETTINGS = ("served", "together", "alone")


def attacks(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table for each model: successes and right answers by setting and defence."""
    titles = [f"{setting}, {title}" for setting in _SETTINGS for title in _DEFENCES.values()]
    for name, found in _part(results, "documents").items():
        columns = [found["none"], *(found[each][key] for each in _SETTINGS for key in _DEFENCES)]
        yield from ("", f"**{name}**", "")
        yield from head(f"| no attacks | {' | '.join(titles)}")
        for key, title in (("success", "all attacks"), ("right", "right answers")):
            yield f"| **{title}** | {' | '.join(_share(column[key]) for column in columns)} |"


def _part(results: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the figures of a part by model."""
    return {name: found[part] for name, found in results["models"].items() if part in found}


def _counts(found: Mapping[str, Any]) -> str:
    return f"{found['hits']}/{found['of']}"


def _share(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{_counts(found)}: {found['share']:.2f} [{low:.2f}, {high:.2f}]"
