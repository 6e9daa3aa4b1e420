"""Table of readers with one domain's expert beside the whole reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head


def named(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each form and kept domain."""
    yield from head(
        "experts | kept | answers | same tokens | to the bit | others as shared | others as before "
        "| on disk, MB | weights in memory, MB | resident, MB"
    )
    for form, item in found["forms"].items():
        for domain, row in item["domains"].items():
            after, before = row["memory"], item["memory"]
            cells = [
                form,
                domain,
                f"{row['questions']}",
                *(
                    f"{row[name]:.3f}"
                    for name in ("same", "same_to_the_bit", "others_as_shared", "others_as_before")
                ),
                f"{row['bytes_before'] / 1e6:.1f} -> {row['bytes_after'] / 1e6:.1f}",
                *(
                    f"{before[name] / 1e6:.1f} -> {after[name] / 1e6:.1f}"
                    for name in ("weights", "rss")
                ),
            ]
            yield f"| {' | '.join(cells)} |"
