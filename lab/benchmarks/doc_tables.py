"""Tables of lab/docs/measurements on gate, grounding and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from results_table import head


def mixed(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table for each part: the models side by side.

    Shown are figures that have a target: of the search the mean over the sets, and of the gate
    only questions as they are.
    """
    sides: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = {}
    for name, figures in results["figures"].items():
        part, _, model = name.partition(", ")
        sides.setdefault(part, {})[model] = figures
    for part, by_model in sides.items():
        models = list(by_model)
        own = part == "search"
        columns = ("a store of its own", "the mixed store", "change") if own else models
        yield from ("", f"**{part.capitalize()}**", "")
        yield from head(f"| n | {' | '.join(columns)} | target")
        named = [{row["name"]: row for row in rows} for rows in by_model.values()]
        for name in dict.fromkeys(name for rows in named for name in rows):
            rows = [rows[name] for rows in named if name in rows]
            cells = [_estimate(some[name]["after"]) if name in some else "" for some in named]
            first = rows[0]
            if not first["bar"] or name.startswith(("misspelled", "in ")):
                continue
            if own and not name.startswith("mean"):
                continue
            if own:
                cells = [_estimate(first["before"]), *cells, _estimate(first["change"])]
            verdicts = ("reached" if row["reached"] else "missed" for row in rows)
            asked = first["bar"] and f"{first['bar']}: {', '.join(verdicts)}"
            count = " / ".join(str(row["after"]["n"]) for row in rows if row["after"])
            yield f"| {name} | {count} | {' | '.join(cells)} | {asked} |"


def conversations(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the means of follow-ups and of questions that stand alone, and the time."""
    names = ("last message", "all turns", "rewritten", "gold")
    yield from head(f"| {' | '.join(names)}")
    for group in ("follow-ups", "stand alone"):
        row = results[group]
        yield f"| {group} | {' | '.join(f'{row[method]:.3f}' for method in names)} |"
    shares = results["elsewhere left alone"].values()
    left, seconds = sum(shares) / len(shares), results["seconds"]
    yield ""
    yield f"Questions that the documents are not about, left as they are: {left:.3f}."
    yield (
        f"Reading the conversation adds {seconds['added']:.3f} s to answers of "
        f"{seconds['an answer']:.2f} s: {seconds['added share']:+.1%}."
    )


def follow_ups(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the share of right readings of the test half, with intervals."""
    right = results["right"]["test"]
    names = [name for name in ("message", "rules", "model") if name in right]
    yield from head(f"test half | n | {' | '.join(names)}")
    for kind in ("follow-ups", "all"):
        cells = " | ".join(_share(right[name][kind]) for name in names)
        yield f"| {kind} | {right['rules'][kind]['n']} | {cells} |"
    yield ""
    faultless = results["English"]["model"]["share"]
    yield (
        f"{results['writes']['n']} of {results['follow-ups']} messages are written by the model, "
        f"in {results['writes']['median seconds']:.2f} s each. {faultless:.3f} of the readings "
        "that differ from the message have no fault of grammar that patterns find."
    )


def _share(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['share']:.2f} [{low:.2f}, {high:.2f}]"


def _estimate(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def training_free(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each store."""
    kinds = list(next(iter(results.values())))
    yield from head(f"store | {' | '.join(kinds)}")
    for name, figures in results.items():
        cells = (
            f"{row['retrieved']:.3f}"
            + ("" if kind.startswith("own") else f", AUC {row['auc']:.3f}")
            for kind, row in figures.items()
        )
        yield f"| {name} | {' | '.join(cells)} |"


def answers(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure that has a target: the large default model and the small one."""
    small, large = models_of(results)
    yield from head(f"figure | n | `{small}` | `{large}` [95 %] | target")
    for part, figures in results["figures"].items():
        for item in figures:
            after, before = item["after"], item["before"]
            if after is None or not item["bar"]:
                continue
            bar = item["bar"] and f"{item['bar']}, {'reached' if item['reached'] else 'missed'}"
            first = "" if before is None else f"{before['mean']:.3f}"
            cells = (f"{part}: {item['name']}", str(after["n"]), first, _estimate(after), bar)
            yield f"| {' | '.join(cells)} |"


def figures(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure of one list; if some have a target, for these alone."""
    yield from head("figure | n | share [95 %] | target")
    targets = any(item["bar"] for item in results["figures"])
    for item in results["figures"]:
        if (after := item["after"]) and (item["bar"] or not targets):
            bar = item["bar"] and f"{item['bar']}, {'reached' if item['reached'] else 'missed'}"
            yield f"| {item['name']} | {after['n']} | {_estimate(after)} | {bar} |"


def models_of(results: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the small and the large default model."""
    first, *_, last = results["inputs"]["models"]
    small, large = (next(iter(item.values()))["generator"]["name"] for item in (first, last))
    return str(small), str(large)


def grounding(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each kind of claim."""
    yield from head(
        "claim | right, called supported | swapped | near | wrong | AUROC swapped / near / wrong"
    )
    relations = ("supported", "swapped", "near", "wrong")
    for kind, what in (
        ("bare answer", "bare gold answer"),
        ("sentence", "question as a sentence with the answer"),
        ("shortened sentence", "gold sentence, every fifth word left out"),
    ):
        row = results[kind]
        rates = (_or_dash(row, f"{name}: called supported") for name in relations)
        areas = (_or_dash(row, f"{name}: AUROC") for name in relations[1:])
        yield f"| {what} | {' | '.join(rates)} | {' / '.join(areas)} |"


def _or_dash(row: Mapping[str, float], name: str) -> str:
    return f"{row[name]:.3f}" if name in row else "-"
