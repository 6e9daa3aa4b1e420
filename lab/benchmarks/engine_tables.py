"""Tables of lab/docs/measurements on the engine with other processors and other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head

ADDED = ("bfloat16", "int8", "int4")


def gguf_loss(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each type: what the file lost, what each packing adds, and the nearest."""
    added = " | ".join(f"{name} adds" for name in (*ADDED, "llama.cpp"))
    yield from head(f"type | bits | the file lost | {added} | nearest")
    for row in results["rows"]:
        cells = (f"{row[name]['divergence']:.4f}" for name in ("file", *ADDED, "llama.cpp"))
        yield f"| {row['type']} | {row['bits']:.1f} | {' | '.join(cells)} | {nearest(row)} |"


def mxfp4(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each format: its speed by tokens, its error, and its perplexity."""
    rows, perplexity = results["speed"], results["perplexity"]
    times = " | ".join(f"T = {row['T']}" for row in rows)
    yield from head(f"| {times} | error, T = {rows[0]['T']} | perplexity")
    for name in (name for name in rows[0] if name != "T"):
        ratios = " | ".join(f"{row[name]['ratio']:.2f}" for row in rows)
        error, rise = rows[0][name]["error"], perplexity[name]["increase"]
        yield f"| {name} | {ratios} | {error:.4f} | {rise:+.2%} |"


def nearest(row: Mapping[str, Any]) -> str:
    """Return the smallest of our formats that adds no more than the file has lost."""
    lost = row["file"]["divergence"]
    return next((name for name in reversed(ADDED) if row[name]["divergence"] <= lost), ADDED[0])
