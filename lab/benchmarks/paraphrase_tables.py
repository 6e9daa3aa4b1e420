"""Tables of answers to the same question in other words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head


def answers(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each model and kind of wording: agreement and accuracy."""
    yield from head(
        "model | wordings | questions | same answer, as asked | canonical | change | target "
        "| right, as asked | canonical"
    )
    for model, kind, found in _each(results):
        same, right = (found["measures"][name] for name in ("answer_consistency", "accuracy"))
        cells = (
            f"{found['questions']} in {found['wordings']}",
            *(_estimate(same[side]) for side in ("before", "after")),
            _estimate(same["change"], "+"),
            f"{same['bar']}, {'reached' if same['reached'] else 'missed'}",
            *(_mean(right[side]) for side in ("before", "after")),
        )
        yield f"| `{model}` | {kind} | {' | '.join(cells)} |"


def _each(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for model, kinds in results["figures"].items():
        for kind, found in kinds.items():
            yield model, kind, found


def _estimate(estimate: Mapping[str, float] | None, sign: str = "") -> str:
    if estimate is None:
        return "-"
    ends = ", ".join(f"{estimate[end]:{sign}.3f}" for end in ("low", "high"))
    return f"{estimate['mean']:{sign}.3f} [{ends}]"


def _mean(estimate: Mapping[str, float] | None) -> str:
    return "-" if estimate is None else f"{estimate['mean']:.3f}"
