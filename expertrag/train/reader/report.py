"""What a reader was trained on and what it gains: the report, and the card in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from expertrag.llm.prompt import NOT_FOUND
from expertrag.train.reader.measure import Scores
from expertrag.train.reader.recipe import Recipe
from expertrag.train.reader.trainer import Point

_FIGURES = ("alone", "among", "cited", "AUROC")
"""Columns of dev questions, named as in ``Scores``."""


@dataclass(frozen=True, slots=True)
class SetReport:
    """One data set: what was trained on, and its dev figures before and after.

    ``abstain``: how many of the examples are to be abstained from.
    """

    name: str
    domain: str
    licence: str
    sha256: str
    examples: int
    abstain: int
    dropped: Mapping[str, int]
    before: Scores
    after: Scores


@dataclass(frozen=True, slots=True)
class ReaderReport:
    """A training. ``tokens`` were read in it; ``seconds`` is the time since it was last started.

    ``start``: hash of the weights of the reader that it went on from, if any.
    """

    base: str
    fingerprint: str
    start: str
    prompts: str
    recipe: Recipe
    command: str
    sets: tuple[SetReport, ...]
    points: tuple[Point, ...]
    steps: int
    tokens: int
    seconds: float


def card(report: ReaderReport, licence: str) -> str:
    """Write the card."""
    first, best = report.points[0], min(report.points, key=lambda point: point.mean)
    recipe = report.recipe
    start = f"from the reader whose weights are `{report.start}`, " if report.start else ""
    what, sizes = (
        (
            "Small experts beside the upper half of the layers, one for each domain, that make",
            f"strength {recipe.strength:g}, widths {recipe.rank} and {recipe.domain_rank}",
        )
        if recipe.beside
        else (
            "Low-rank updates, one that is shared and one for each domain's expert, that make",
            f"ranks {recipe.rank} and {recipe.domain_rank}",
        )
    )
    return f"""---
license: {licence}
base_model: {report.base}
tags: [retrieval-augmented-generation, mixture-of-experts, low-rank]
---
# A reader on {report.base}

{what}
{report.base} answer from numbered passages, cite them (`Paris [2]`), and say
"{NOT_FOUND}" where none holds the answer.

{_sets(report)}
{_explained(recipe) if recipe.answered else ""}
Dev loss {first.mean:.3f} -> {best.mean:.3f}, replies to the letter {first.exact:.2f} -> \
{best.exact:.2f} (step {best.step} of {report.steps}, {report.tokens:,} tokens).
Dev questions are of the train split, and none is about a document that another is trained on. The
bundle holds no text of the sets. Trained by

    {report.command}

{start}with {sizes} (of a domain), learning rate {recipe.learning_rate:g}, seed {recipe.seed}.
Files of the base: `{report.fingerprint}`; prompts: `{report.prompts}`.
"""


def _sets(report: ReaderReport) -> str:
    """Table of the data sets, with the figures of dev questions where these were answered."""
    columns = ["data set (hash)", "licence", "domain", "examples (to abstain)"]
    if report.recipe.answered:
        columns += _FIGURES
    rows = [columns, ["---"] * len(columns)]
    for item in report.sets:
        row = [f"{item.name} (`{item.sha256[:12]}`)", item.licence, item.domain]
        row.append(f"{item.examples:,} ({item.abstain:,})")
        if report.recipe.answered:
            before, after = asdict(item.before), asdict(item.after)
            row += [_change(before[name.lower()], after[name.lower()]) for name in _FIGURES]
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _explained(recipe: Recipe) -> str:
    return f"""
alone: share of dev questions whose answer, from the gold passage alone, holds an accepted one;
among: with distractors, {recipe.passages} passages; cited: of those right among distractors, how
many cite gold passages alone; AUROC: of the probability of abstention, unanswerable questions
against the others. Before is the base model with the same prompts. At most
{recipe.dev_questions} questions of a set were asked.
"""


def _change(before: float | None, after: float | None) -> str:
    return " -> ".join("none" if value is None else f"{value:.2f}" for value in (before, after))
