"""Tables of lab/docs/measurements/documents.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_COUNTS = ("files", "counted", "unfair")
_SYSTEMS = {"expertrag_index": "the loader", "pypdf": "pypdf", "pypdfium2": "pypdfium2"}


def encodings(results: Mapping[str, Any]) -> Iterator[str]:
    """Shares of texts that are read rightly, ours and charset-normalizer's, by length."""
    right: Mapping[str, Any] = results["right"]
    lengths = list(next(iter(right.values()))["expertrag"])
    yield "| encoding | " + " | ".join(f"{length} characters" for length in lengths) + " |"
    yield "|" + "---|" * (len(lengths) + 1)
    for encoding, by_system in right.items():
        ours, theirs = by_system["expertrag"], by_system["charset-normalizer"]
        cells = (f"{ours[length]:.2f} / {theirs[length]:.2f}" for length in lengths)
        yield f"| {encoding} | " + " | ".join(cells) + " |"
    means = (
        " / ".join(
            f"{sum(each[system][length] for each in right.values()) / len(right):.2f}"
            for system in ("expertrag", "charset-normalizer")
        )
        for length in lengths
    )
    yield "| mean | " + " | ".join(means) + " |"


def pdf(results: Mapping[str, Any]) -> Iterator[str]:
    """Errors in characters and words of each library, and pages per second."""
    systems = [name for name in results["pages_per_second"] if name != "expertrag_index"]
    names = ["expertrag_index", *systems]
    yield "| file | " + " | ".join(_SYSTEMS.get(name, name) for name in names) + " |"
    yield "|" + "---|" * (len(names) + 1)
    for case, by_system in results["errors"].items():
        cells = (
            f"{100 * by_system[name]['characters']:.2f} / {100 * by_system[name]['words']:.2f}"
            for name in names
        )
        yield f"| {case} | " + " | ".join(cells) + " |"
    speeds = (f"{results['pages_per_second'][name]:.0f}" for name in names)
    yield "| pages per second | " + " | ".join(speeds) + " |"


def ocr(results: Mapping[str, Any]) -> Iterator[str]:
    """Errors of OCR, and seconds of a core for a page."""
    yield "| page of | characters wrong, % | words missed, % | seconds |"
    yield "|---|---|---|---|"
    for case, found in results["cases"].items():
        errors = f"{100 * found['characters']:.2f} | {100 * found['words']:.2f}"
        yield f"| {case} | {errors} | {found['seconds']:.0f} |"


def loaders(results: Mapping[str, Any]) -> Iterator[str]:
    """Shares of the words of real files that the loaders keep, by kind of file."""
    yield "| files | n | counted | unread | median | p5 | numbers | code | cells | invented |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for kind, row in results["kinds"].items():
        names = ("median", "p5", "numbers", "code", "cells", "noise")
        cells = ("-" if row[name] is None else f"{row[name]:.3f}" for name in names)
        counts = (str(row[name]) for name in _COUNTS)
        yield f"| {kind} | {' | '.join((*counts, *cells))} |"
    counts = (str(sum(row[name] for row in results["kinds"].values())) for name in _COUNTS)
    yield f"| **all** | {' | '.join(counts)} | | | | | | |"
