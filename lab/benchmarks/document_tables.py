"""Tables of lab/docs/measurements/documents.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def loaders(results: Mapping[str, Any]) -> Iterator[str]:
    """Shares of the words of real files that the loaders keep, by kind of file."""
    yield "| files | counted | median | p5 | numbers | code | cells | invented |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind, row in results["kinds"].items():
        names = ("median", "p5", "numbers", "code", "cells", "noise")
        cells = ("-" if row[name] is None else f"{row[name]:.3f}" for name in names)
        yield f"| {kind} | {row['counted']} | {' | '.join(cells)} |"
