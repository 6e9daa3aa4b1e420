"""Tables of lab/docs/measurements/routing.md, on the mixture of ``fixture_moe.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head


def losses(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each kind of held-out rows, from the card of the mixture."""
    yield from head("rows | tokens | loss | right | reply tokens | loss | right")
    for name, item in results["inputs"]["model"]["held_out"].items():
        cells = [name, f"{item['tokens']:,}", f"{item['loss']:.3f}", f"{item['accuracy']:.3f}"]
        if item["answer_tokens"]:
            cells += [
                f"{item['answer_tokens']:,}",
                f"{item['answer_loss']:.3f}",
                f"{item['answer_accuracy']:.3f}",
            ]
        else:
            cells += ["", "", ""]
        yield f"| {' | '.join(cells)} |"


def usage(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each layer of the mixture: how its router tells domains apart."""
    yield from head("layer | bits about the domain | differs between domains | most used expert")
    routing = results["inputs"]["model"]["routing"]
    columns = (routing[name] for name in ("information", "distance", "most"))
    for layer, values in enumerate(zip(*columns, strict=True)):
        yield f"| {layer} | {' | '.join(f'{value:.3f}' for value in values)} |"


def nulls(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each model and policy."""
    tasks = list(next(iter(results["runs"].values()))["speed"])
    speeds = " | ".join(f"{task}, tokens/s" for task in tasks)
    yield from head(
        "null experts, top-k, weights | policy | experts a token | loss [change] | of replies | "
        + speeds
    )
    for run in results["runs"].values():
        shape, change = results["models"][run["model"]]["shape"], run["change"]
        weights = ", sum to 1" if shape.get("normalise") else ""
        cells = (
            f"{shape['null_experts']}, {shape['top_k']}{weights}",
            f"`{run['policy']}`",
            f"{run['experts']:.2f}",
            f"{run['loss']:.3f} [{change['low']:+.3f}, {change['high']:+.3f}]",
            f"{run['answers']:.3f}",
            *(f"{run['speed'][task]['mean']:,.0f}" for task in tasks),
        )
        yield f"| {' | '.join(cells)} |"


def contrast(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure of self-contrast: without it, and with it."""
    yield from head("test rows | n | without | with | change")
    for item in results["figures"]:
        before, after, change = (item[name] for name in ("before", "after", "change"))
        yield (
            f"| {item['name']} | {after['n']} | {before['mean']:.3f} | {after['mean']:.3f} "
            f"| {change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}] |"
        )


def tried(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each contrast that was tried on dev prompts."""
    yield from head("weak side, beta | right tokens of dev replies")
    for name, share in results["dev"].items():
        yield f"| {name} | {share:.4f} |"


_WAYS = {
    "full": "all experts, all in memory",
    "half": "all experts, memory for half",
    "patterns": "the domain's half, memory for half",
    "other": "another domain's half",
}


def patterns(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each way to answer questions of mixed domains: speed, hits, quality."""
    orders = results["orders"]
    columns = " | ".join(f"{order}: tokens/s | hits | MB read" for order in orders)
    yield from head(f"experts | {columns} | same answers | same next tokens | loss")
    for way, shown in _WAYS.items():
        cells = [shown]
        for by_way in orders.values():
            cells += _speed(by_way[way]) if way in by_way else ["", "", ""]
        same, loss = results["same"][way], results["loss"].get(way)
        cells.append("" if way in ("full", "half") else f"{same['mean']:.0%}")
        cells.append(f"{results['next'][way]['mean']:.1%}" if way in results["next"] else "")
        if isinstance(loss, Mapping):
            cells.append(f"{loss['mean']:+.1%} [{loss['low']:+.1%}, {loss['high']:+.1%}]")
        else:
            cells.append("" if loss is None else f"{loss:.3f}")
        yield f"| {' | '.join(cells)} |"


def _speed(figures: Mapping[str, Any]) -> list[str]:
    speed = f"{figures['tokens_per_s']:.1f}"
    if "hit_rate" not in figures:
        return [speed, "", ""]
    return [speed, f"{figures['hit_rate']:.1%}", f"{figures['read_mb']:,.0f}"]
