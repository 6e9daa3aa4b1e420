"""Tables of ``bench_scale.py``: our store by its size, and other engines beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head

_SPREAD = ("p50", "p95", "worst")
_SEARCHES = {
    "hybrid": "search/hybrid",
    "dense": "search/dense",
    "bm25": "search/bm25",
    "hybrid, page cache cold": "cold/hybrid",
}
_ROWS = (
    ("build, chunks/s", "{:,.0f}", "build/chunks_per_s"),
    ("build, most memory (anonymous), MB", "{:,.0f}", "build/peak_anon_mb"),
    ("bytes on disk a chunk", "{:,.0f}", "build/disk_bytes_a_chunk"),
    ("open, page cache warm / cold, s", "{:.2f}", "open/warm_s", "open/cold_s"),
    *(
        (f"{name}, p50 / p95 / worst, ms", "{:.1f}", *(f"{path}/{at}_ms" for at in _SPREAD))
        for name, path in _SEARCHES.items()
    ),
    ("recall@10, dense", "{:.3f}", "search/recall_at_10"),
    *(
        (
            f"filter of {share}: p50 / p95 / CPU over none's",
            "{:.2f}",
            *(f"filters/{share}/{name}" for name in ("ratio", "ratio_p95", "ratio_cpu")),
        )
        for share in ("1 %", "50 %")
    ),
    (
        "memory a chunk, all / anonymous; vectors, bytes",
        "{:,.0f}",
        "memory/rss_bytes_a_chunk",
        "memory/anon_bytes_a_chunk",
        "memory/read_bytes_a_chunk",
    ),
    (
        "searchable after, one document / 1 % of them, s",
        "{:.2f}",
        "writes/one document/visible_s",
        "writes/1 % of the documents/visible_s",
    ),
    (
        "compaction, s / bytes written a byte of the store",
        "{:.1f}",
        "writes/compaction/seconds",
        "writes/compaction/written_of_the_store",
    ),
    ("served, 16 callers, searches/s", "{:,.0f}", "served/calls_per_s"),
    ("served, upsert visible, s", "{:.2f}", "served/upsert_visible_s"),
    (
        "served, 4 callers, p50 / p99, ms",
        "{:,.0f}",
        *(f"compacting/before/{name}_ms" for name in ("p50", "p99")),
    ),
    (
        "the same during a compaction",
        "{:,.0f}",
        *(f"compacting/meanwhile/{name}_ms" for name in ("p50", "p99")),
    ),
)
_PLACES = {"faiss": "FAISS", "postgresql": "PostgreSQL", "qdrant+http": "Qdrant"}
_ENGINES = {"tantivy": "tantivy + FAISS", "qdrant": "Qdrant, local mode", "lancedb": "LanceDB"}
_COLUMNS = (
    ("chunks/s", "{:,.0f}", "build/chunks_per_s"),
    ("bytes on disk a chunk", "{:,.0f}", "build/disk_bytes_a_chunk"),
    ("hybrid p50 / p95, ms", "{:.1f}", "search/hybrid/p50_ms", "search/hybrid/p95_ms"),
    (
        "1 % / 10 % / 50 %, p50, ms",
        "{:.1f}",
        *(f"search/filters/{share}/p50_ms" for share in ("1 %", "10 %", "50 %")),
    ),
    ("recall@10", "{:.3f}", "search/recall_at_10"),
    ("bytes of memory a chunk", "{:,.0f}", "search/rss_bytes_a_chunk"),
)


def ours(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure, with a column for each size."""
    sizes = results["sizes"]
    yield from head(f"| {' | '.join(f'{int(size):,} chunks' for size in sizes)}")
    for name, form, *paths in _ROWS:
        yield f"| {name} | {' | '.join(_cell(sizes[size], form, paths) for size in sizes)} |"


def engines(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each engine and size; one that is not finished says so."""
    yield from head(f"chunks | engine | {' | '.join(name for name, *_ in _COLUMNS)}")
    for size, parts in results["sizes"].items():
        yield _row(size, "ours", _as_engine(parts))
        for name, title in _ENGINES.items():
            if name in parts:
                yield _row(size, title, parts[name])


def places(results: Any) -> Iterator[str]:
    """Yield a store by where its vectors are, from ``bench_engines.py``."""
    yield from head(
        "chunks|vectors in|moved, s|bytes a chunk|hybrid p50 / p95, ms|dense p50, ms|recall@10|"
        "filter of 1 % / 50 %, p50, ms|one document searchable after, s"
    )
    for size, measured in results["sizes"].items():
        for place, found in measured.items():
            search, filters = found["search"], found["filters"]
            yield (
                f"| {int(size):,} | {_PLACES.get(place, place)} | {found['move_s']:.0f} "
                f"| {found.get('bytes_a_chunk', 0):,.0f} "
                f"| {search['hybrid']['p50_ms']:.1f} / {search['hybrid']['p95_ms']:.1f} "
                f"| {search['dense']['p50_ms']:.1f} | {search['recall_at_10']:.3f} "
                f"| {filters['1 %']['p50_ms']:.1f} / {filters['50 %']['p50_ms']:.1f} "
                f"| {found['upsert_s']:.2f} |"
            )


def _row(size: str, title: str, figures: Mapping[str, Any]) -> str:
    cells = [_cell(figures, form, paths) for _, form, *paths in _COLUMNS]
    for step, columns in (("build", range(6)), ("search", range(2, 6))):
        if figures.get(step, {}).get("finished") is False:
            late = f"not finished in {figures[step]['limit_s']:,.0f} s"
            cells = [late if at in columns else cell for at, cell in enumerate(cells)]
    return f"| {int(size):,} | {title} | {' | '.join(cells)} |"


def _as_engine(parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arrange our figures as those of the other engines are."""
    search = {**parts.get("search", {}), "filters": parts.get("filters", {})}
    return {"build": parts.get("build", {}), "search": {**search, **parts.get("memory", {})}}


def _cell(figures: Any, form: str, paths: list[str]) -> str:
    values = [_at(figures, path) for path in paths]
    return " / ".join("-" if value is None else form.format(value) for value in values)


def _at(figures: Any, path: str) -> float | None:
    for name in path.split("/"):
        figures = figures.get(name) if isinstance(figures, Mapping) else None
    return None if figures is None else float(figures)
