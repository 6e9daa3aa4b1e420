"""The report of a reader's training, and the card in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from expertrag.llm.prompt import NOT_FOUND
from expertrag_lab.train.reader.measure import Scores
from expertrag_lab.train.reader.recipe import ReaderRecipe
from expertrag_lab.train.reader.trainer import ReaderPoint

_FIGURES = ("alone", "among", "cited", "AUROC")
"""Columns of the dev figures, named as in ``Scores``."""


@dataclass(frozen=True, slots=True)
class ReaderSetReport:
    """One data set: its train examples, and its dev figures before and after training.

    ``abstain``: number of examples whose target is abstention.
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
    """Result of a training. ``seconds`` is the time since it was last started or resumed.

    ``tokens``: number of tokens trained on. ``start``: hash of the weights of the reader that the
    training started from, if any.
    """

    base: str
    fingerprint: str
    start: str
    prompts: str
    recipe: ReaderRecipe
    command: str
    sets: tuple[ReaderSetReport, ...]
    points: tuple[ReaderPoint, ...]
    steps: int
    tokens: int
    seconds: float


def card(report: ReaderReport, licence: str) -> str:
    """Return the card as Markdown."""
    first, best = report.points[0], min(report.points, key=lambda point: point.mean)
    recipe = report.recipe
    start = f"from the reader whose weights are `{report.start}`, " if report.start else ""
    what, sizes = (
        (
            "Parallel adapters in the upper half of the layers, shared and per domain, that make",
            f"strength {recipe.strength:g}, widths {recipe.rank} and {recipe.domain_rank}",
        )
        if recipe.parallel
        else (
            "LoRA adapters, shared and per domain, that make",
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
"{NOT_FOUND}" if none holds the answer.

{_sets(report)}
{_explain(recipe) if recipe.answered else ""}
Dev loss {first.mean:.3f} -> {best.mean:.3f}, exact replies {first.exact:.2f} -> \
{best.exact:.2f} (step {best.step} of {report.steps}, {report.tokens:,} tokens).
Dev questions are from the train split; none is about a document that was trained on. The bundle
contains no text of the data sets. Trained with

    {report.command}

{start}with {sizes} (of a domain), learning rate {recipe.learning_rate:g}, seed {recipe.seed}.
Files of the base: `{report.fingerprint}`; prompts: `{report.prompts}`.
"""


def _sets(report: ReaderReport) -> str:
    """Table of the data sets, with dev figures if dev questions were answered."""
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


def _explain(recipe: ReaderRecipe) -> str:
    return f"""
alone: share of dev questions answered with an accepted answer, given the gold passage alone; among:
the same among distractors, {recipe.passages} passages in all; cited: share of the right answers
among distractors that cite only gold passages; AUROC: of the probability of abstention,
unanswerable questions against the others. "Before" is the base model with the same prompts. At most
{recipe.dev_questions} questions per data set.
"""


def _change(before: float | None, after: float | None) -> str:
    return " -> ".join("none" if value is None else f"{value:.2f}" for value in (before, after))
