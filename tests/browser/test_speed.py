"""What the page weighs, and how soon it is painted."""

from __future__ import annotations

import statistics
from typing import Any

from browser.conftest import Figures, Visit
from http_fixtures import Served

FIRST_PAINT_MS = 300
MOST_BYTES = 150_000
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
SIZES = (
    "() => ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
    ".filter(each => !each.name.includes('/api/'))"
    ".map(each => [each.decodedBodySize, each.encodedBodySize])"
)


def test_first_paint_and_size(served: Served, visit: Visit, figures: Figures) -> None:
    paints: list[float] = []
    sizes: list[Any] = []
    for _ in range(7):
        page = visit(served)
        page.wait_for_selector("text=18 documents in")
        paints.append(page.evaluate(PAINT))
        sizes = page.evaluate(SIZES)
    whole, sent = (sum(each[kind] for each in sizes) for kind in (0, 1))
    figures["first_paint_ms"] = {
        "median": round(statistics.median(paints)),
        "most": round(max(paints)),
        "pages": len(paints),
    }
    figures["bytes"] = {"files": len(sizes), "whole": whole, "sent": sent}
    assert whole < MOST_BYTES
    assert statistics.median(paints) < FIRST_PAINT_MS
