"""Tables of lab/docs/measurements on gate, grounding and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from results_file import report_of
from results_table import head


def mixed(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table for each part, with the models side by side."""
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
            if own:
                cells = [_estimate(first["before"]), *cells, _estimate(first["change"])]
            verdicts = ("reached" if row["reached"] else "missed" for row in rows)
            asked = first["bar"] and f"{first['bar']}: {', '.join(verdicts)}"
            count = " / ".join(str(row["after"]["n"]) for row in rows if row["after"])
            yield f"| {name} | {count} | {' | '.join(cells)} | {asked} |"


def left_out(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each set that is left out."""
    yield from head("domain, set left out, search | n | base | expert | change | target")
    for row in results["figures"]:
        cells = [_estimate(row[side]) for side in ("before", "after", "change")]
        verdict = row["bar"] and f"{row['bar']}: {'reached' if row['reached'] else 'missed'}"
        yield f"| {row['name']} | {row['after']['n']} | {' | '.join(cells)} | {verdict} |"


def conversations(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each set and kind of conversation, their means, and the time."""
    names = ("last message", "all turns", "rewritten", "gold")
    yield from head(f"set, kind | n | {' | '.join(names)}")
    for name, kinds in results["sets"].items():
        for kind, row in kinds.items():
            cells = " | ".join(f"{row[method]:.3f}" for method in names)
            yield f"| {name}, {kind} | {row['conversations']} | {cells} |"
    for group in ("follow-ups", "stand alone"):
        row = results[group]
        yield f"| **{group}** | | {' | '.join(f'{row[method]:.3f}' for method in names)} |"
    shares = results["elsewhere left alone"].values()
    left, seconds = sum(shares) / len(shares), results["seconds"]
    yield ""
    yield f"Questions that the documents are not about, left as they are: {left:.3f}."
    yield (
        f"Reading the conversation adds {seconds['added']:.3f} s to answers of "
        f"{seconds['an answer']:.2f} s: {seconds['added share']:+.1%}."
    )


def follow_ups(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the share of right readings of each kind of message of the test half."""
    right = results["right"]["test"]
    names = [name for name in ("message", "rules", "model") if name in right]
    yield from head(f"kind, test half | n | {' | '.join(names)}")
    means = ("follow-ups", "all")
    for kind in (*(kind for kind in right["rules"] if kind not in means), *means):
        cells = " | ".join(_share(right[name][kind], kind in means) for name in names)
        shown = f"**{kind}**" if kind in means else kind.replace("_", " ")
        yield f"| {shown} | {right['rules'][kind]['n']} | {cells} |"
    yield ""
    faultless = results["English"]["model"]["share"]
    yield (
        f"{results['writes']['n']} of {results['follow-ups']} messages are written by the model, "
        f"in {results['writes']['median seconds']:.2f} s each; {faultless:.3f} of the readings "
        "that differ from the message have no fault of grammar that patterns find."
    )


def _share(row: Mapping[str, Any], has_interval: bool) -> str:
    low, high = row["interval"]
    return f"{row['share']:.2f}" + (f" [{low:.2f}, {high:.2f}]" if has_interval else "")


def by_model(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the means of both ways to rewrite, and the seconds of the model's."""
    names = ("last message", "rewritten", "language model", "gold")
    yield from head(f"of {results['split']} | {' | '.join(names)}")
    for group, row in results["by model, means"].items():
        yield f"| {group} | {' | '.join(f'{row[method]:.3f}' for method in names)} |"
    spent = [value for name, value in results["seconds"].items() if "by the model" in name]
    yield ""
    yield f"A rewriting by the model takes {sum(spent) / len(spent):.2f} s."


def strict(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each threshold."""
    shown = (
        "right, of those given",
        "right, of the answerable",
        "abstains, unanswerable",
        "abstains, answerable",
        "given, of the right verdicts",
    )
    yield from head(f"withheld from a doubt of, a yes or no of | {' | '.join(shown)}")
    for row in results["rows"]:
        cells = " | ".join(f"{row[name]:.2f}" for name in shown)
        yield f"| {row['doubt']:g}, {row['doubt of a verdict']:g} | {cells} |"


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


def gates_left_out(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each gate."""
    yield from head(f"{results['rows']} rows | right | searches")
    for name, searches in (("never", 0), ("always", 1)):
        yield f"| {name} | {results[name]:.3f} | {searches:.2f} |"
    for gate in results["gates"]:
        name = f"{gate['model']}: {', '.join(gate['signals'])}"
        yield f"| {name} | {gate['right']:.3f} | {gate['searches']:.2f} |"


def answers(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure of the large default model, next to the small one."""
    small, large = models_of(results)
    yield from head(f"figure | n | `{small}` | `{large}` [95 %] | target")
    for part, figures in results["figures"].items():
        for item in figures:
            after, before = item["after"], item["before"]
            if after is None:
                continue
            bar = item["bar"] and f"{item['bar']}, {'reached' if item['reached'] else 'missed'}"
            first = "" if before is None else f"{before['mean']:.3f}"
            cells = (f"{part}: {item['name']}", str(after["n"]), first, _estimate(after), bar)
            yield f"| {' | '.join(cells)} |"


def figures(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure of one list."""
    yield from head("figure | n | share [95 %] | target")
    for item in results["figures"]:
        if after := item["after"]:
            bar = item["bar"] and f"{item['bar']}, {'reached' if item['reached'] else 'missed'}"
            yield f"| {item['name']} | {after['n']} | {_estimate(after)} | {bar} |"


def models_of(results: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the small and the large default model."""
    first, *_, last = results["inputs"]["models"]
    small, large = (next(iter(item.values()))["generator"]["name"] for item in (first, last))
    return str(small), str(large)


def calibrated(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was asked of the calibrated gate, and what it reached."""
    chosen = results["chosen"]
    half, more = chosen["accuracy"]["0.5"], chosen["over_always"]["0.7"]
    others = ", ".join(f"{name} {results[name]:.3f}" for name in ("never", "always", "oracle"))
    errors = (chosen[f"ece_{kind}"] for kind in ("benefit", "closed_book", "retrieval"))
    area = chosen["auc_benefit"]
    yield from head("| asked | reached")
    yield f"| AUC of the benefit | .62 | {_within(area, '.3f')} |"
    yield f"| accuracy at 50 % retrieval ({others}) | .382 | {_within(half, '.3f')} |"
    yield f"| over always, at 70 % retrieval | +.008 | {_within(more, '+.3f')} |"
    values = ", ".join(f"{error:.3f}" for error in errors)
    what = "calibration error of `p_benefit`, p(right closed book), p(right with retrieval)"
    yield f"| {what} | .03 | {values} |"
    for rule, asked in (("nominal", ""), ("guaranteed", ".10")):
        rates = [item for item in chosen["budget"] if item["rule"] == rule]
        targets = ", ".join(f"{item['target']:g}" for item in rates)
        values = ", ".join(f"{item['violations']:.2f}" for item in rates)
        what = f"target rates {targets} exceeded by more than .02 in 200 splits, {rule}"
        yield f"| {what} | {asked} | {values} |"


def _within(figure: Mapping[str, float], form: str) -> str:
    return f"{format(figure['mean'], form)} (± {figure['half_interval']:.3f})"


def live(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each policy."""
    asked = sum(item["questions"] for item in results["sets"].values() if item["never"] is not None)
    yield from head(f"| accuracy ({asked} with answers) | retrieves | seconds")
    names = {"training-free": "the training-free gate", "fitted": "**the fitted gate**"}
    for policy in ("never", "always", "training-free", "fitted", "oracle"):
        row = results["policies"][policy]
        figures = f"{row['accuracy']:.3f} | {row['retrieval_rate']:.2f} | {row['seconds']:.2f}"
        yield f"| {names.get(policy, policy)} | {figures} |"


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


def accuracy(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each set: accuracy of each policy, and how often AUTO retrieves."""
    report = report_of(results, "answer")
    policies = ("never", "always", "auto", "oracle")
    yield from head(f"set | answerable | {' | '.join(policies)} | auto retrieves")
    sizes = {name: size["answerable"] for name, size in report["sizes"].items()}
    rows = {**report["sets"], "**all**": report["pooled"]}
    for name, row in rows.items():
        count = sizes.get(name, sum(sizes.values()))
        cells = (
            "-" if row[policy]["accuracy"] is None else _interval(row[policy])
            for policy in policies
        )
        yield f"| {name} | {count} | {' | '.join(cells)} | {row['auto']['rate']:.2f} |"


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['accuracy']:.3f} [{low:.3f}, {high:.3f}]"


def policies(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each policy: citations, abstention, calls and tokens."""
    report = report_of(results, "answer")
    figures = ("citation_precision", "citation_recall", "abstention_auroc", "aurc")
    yield from head(
        "policy | citation precision | citation recall | abstention AUROC | AURC | LM calls "
        "| prompt tokens"
    )
    for policy, row in report["pooled"].items():
        cells = ("-" if row[name] is None else f"{row[name]:.3f}" for name in figures)
        counts = f"{row['lm_calls']:.2f} | {row['prompt_tokens']:.0f}"
        yield f"| {policy} | {' | '.join(cells)} | {counts} |"


def cost(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each set: seconds of the clock, and of the formula."""
    report = report_of(results, "cost")
    yield from head("| never | always | auto | formula | formula, prefill reused | formula's error")
    for name, row in {**report["sets"], "**all**": report["pooled"]}.items():
        seconds = (row["measured"][mode] for mode in ("never", "always", "auto"))
        guesses = (row["predicted"][way] for way in ("formula", "with_reuse"))
        cells = " | ".join(f"{value:.2f}" for value in (*seconds, *guesses))
        low, high = row["error_interval"]
        error = f"{row['error']['formula']:+.1%} [{low:+.1%}, {high:+.1%}]"
        yield f"| {name} | {cells} | {error} |"


def consistency(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each set."""
    report = report_of(results, "consistency")
    names = ("decision_consistency", "answer_consistency", "answer_f1", "consistent_and_correct")
    yield from head(
        "set | wordings | same decision | same answer | answer F1 | right in all wordings"
    )
    sizes = {name: size["wordings"] for name, size in report["sizes"].items()}
    for name, row in {**report["sets"], "**all**": report["pooled"]}.items():
        cells = " | ".join(_estimate(row[figure]) or "-" for figure in names)
        yield f"| {name} | {sizes.get(name, sum(sizes.values()))} | {cells} |"
