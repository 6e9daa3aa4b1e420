"""What larger stores would cost, from what was measured with a million chunks.

    python lab/benchmarks/scaling_costs.py --core-hour 0.04 --machine-month 1200

Nothing here is measured: figures of lab/results are multiplied. docs/guide/scaling.md has
the formulas and the table with the default prices, which are assumptions.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from results_file import figures_of
from results_table import head

SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
_GIB = 1 << 30
_USED = 0.8  # share of a machine's memory and disk to fill


@dataclass(frozen=True, slots=True)
class Prices:
    """Assumed: of a core in dollars an hour, and of a machine by the month, with its size."""

    core_hour: float = 0.04
    machine_month: float = 1200.0
    machine_cores: int = 32
    machine_gib: int = 256
    machine_disk_tb: float = 8.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The constants, of a chunk unless named otherwise.

    ``memory_bytes``: pages of mapped files that searches have touched, and the files of vectors,
    which they read and the page cache should keep. ``embed_s``, ``store_s``:
    seconds of a core to embed it, and for all the rest of a build. The others: milliseconds of a
    core for a search of a million chunks; ``rest_ms`` is that of the fusion and of reading texts.
    """

    disk_bytes: float
    memory_bytes: float
    embed_s: float
    store_s: float
    dense_ms: float
    lexical_ms: float
    rest_ms: float
    lexical_growth: float

    @classmethod
    def of(cls, scale: Mapping[str, Any], search: Mapping[str, Any]) -> Measured:
        """Read them from the results of ``bench_scale.py`` and ``bench_search.py``."""
        large, smaller = scale["sizes"]["1000000"], scale["sizes"]["100000"]
        built, found = large["build"], large["search"]
        lexical, dense = found["bm25"]["cpu_ms"], found["dense"]["cpu_ms"]
        spent = built["cpu_s"] + built["cpu_s_of_children"]
        return cls(
            disk_bytes=built["disk_bytes_a_chunk"],
            memory_bytes=large["memory"]["rss_bytes_a_chunk"]
            + large["memory"]["read_bytes_a_chunk"],
            embed_s=2 / search["speed"]["documents_per_second"],  # which two cores embed
            store_s=spent / built["chunks"],
            dense_ms=dense,
            lexical_ms=lexical,
            rest_ms=found["hybrid"]["cpu_ms"] - dense - lexical,
            lexical_growth=math.log10(lexical / smaller["search"]["bm25"]["cpu_ms"]),
        )

    def search_ms(self, chunks: int) -> float:
        """Milliseconds of a core for one hybrid search, if one machine holds all chunks."""
        times = chunks / 1_000_000
        lexical = self.lexical_ms * times**self.lexical_growth
        return float(self.dense_ms * math.sqrt(times) + lexical + self.rest_ms)


def table(scale: Mapping[str, Any], prices: Prices | None = None) -> Iterator[str]:
    """Yield what stores of several sizes cost, as a table in Markdown."""
    prices = prices or Prices()
    known = Measured.of(scale, figures_of("search"))
    yield from head(
        "chunks|disk|memory|first build, hours of a core: embedding; the rest|its price|"
        "a search, ms of a core|machines|a month"
    )
    for chunks in SIZES:
        disk, memory = known.disk_bytes * chunks, known.memory_bytes * chunks
        embed_h, store_h = known.embed_s * chunks / 3600, known.store_s * chunks / 3600
        machines = machines_for(disk, memory, prices)
        yield (
            f"| {chunks / 1e6:,.0f} M | {disk / 1e9:,.0f} GB | {memory / _GIB:,.1f} GiB "
            f"| {embed_h:,.1f}; {store_h:,.1f} | ${(embed_h + store_h) * prices.core_hour:,.2f} "
            f"| {known.search_ms(chunks // machines):,.1f}{' each' * (machines > 1)} "
            f"| {machines:,} | ${machines * prices.machine_month:,.0f} |"
        )


def machines_for(disk: float, memory: float, prices: Prices) -> int:
    """Return how many machines hold so many bytes, with room to spare."""
    by_memory = memory / (_USED * prices.machine_gib * _GIB)
    by_disk = disk / (_USED * prices.machine_disk_tb * 1e12)
    return max(1, math.ceil(by_memory), math.ceil(by_disk))


def main() -> None:
    """Print the table with prices of one's own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for each in fields(Prices):
        flag = "--" + each.name.replace("_", "-")
        parser.add_argument(flag, type=type(each.default), default=each.default)
    given = parser.parse_args()
    print("\n".join(table(figures_of("scale"), Prices(**vars(given)))))


if __name__ == "__main__":
    main()
