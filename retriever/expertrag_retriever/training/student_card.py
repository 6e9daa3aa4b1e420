"""The card of a student: what it cost, and what was lost."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.training.mining import DEV_POOL
from expertrag_retriever.training.student import Point, StudentRecipe


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """Dev nDCG@10 of a domain by base, teacher and student, and the mean cosines to the teacher.

    ``base_cosine`` is the base's: where the student would be had it learnt nothing.
    """

    domain: str
    queries: int
    base: float
    teacher: float
    student: float
    base_cosine: float
    cosine: float


@dataclass(frozen=True, slots=True)
class StudentReport:
    """What was distilled.

    ``texts`` of all domains, ``seconds`` of training. ``cosine`` is the mean over held-out texts.
    ``bundle_bytes`` come on top of a base model as large as the student.
    """

    bundle: str
    base: Base
    recipe: StudentRecipe
    texts: int
    seconds: float
    cosine: float
    bundle_bytes: int
    student_bytes: int
    domains: tuple[DomainFigures, ...]
    points: tuple[Point, ...]


def card(report: StudentReport) -> str:
    """Write the card as Markdown."""
    first = report.points[0].cosine
    return f"""---
base_model: {report.base.name}
library_name: sentence-transformers
tags: [sentence-similarity, distillation]
---
# {report.base.name} that knows what the experts of {report.bundle} know

A plain sentence-transformers model of the base's architecture, distilled from domain experts: for
each text it gives nearly the vector that the expert of the text's domain gives. It has no experts
and no router, and costs what the base costs.

{_table(report)}
On texts kept from its training the mean cosine to the teacher is {report.cosine:.4f} (at the start,
with the mean of the experts' updates: {first:.4f}).

Cost: {report.seconds:.0f} s of training on {report.texts:,} texts, and
{_megabytes(report.student_bytes)}; the teacher is a base as large with a bundle of
{_megabytes(report.bundle_bytes)} on top.

Made by `expertrag train distil` ({_recipe(report.recipe)})
from base files with the fingerprint `{report.base.fingerprint}`.

Limits: the dev slices are queries kept from training, over pools of {DEV_POOL} documents, some of
which were trained on; figures on other data are lower. Texts of no domain of the table are not
served by the base, as with the bundle, but by the student.
"""


def _table(report: StudentReport) -> str:
    lines = [
        "| domain | dev queries | nDCG@10, base | teacher | student | cosine to teacher, base | "
        "student |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {item.domain} | {item.queries} | {item.base:.3f} | {item.teacher:.3f} | "
        f"{item.student:.3f} | {item.base_cosine:.4f} | {item.cosine:.4f} |"
        for item in report.domains
    ]
    return "\n".join(lines) + "\n"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _recipe(recipe: StudentRecipe) -> str:
    return (
        f"rank {recipe.rank}, at most {recipe.epochs} epochs, batches of {recipe.batch}, learning "
        f"rate {recipe.learning_rate:g}, similarities at {recipe.similarity:g}, "
        f"{recipe.max_tokens} tokens, seed {recipe.seed}"
    )
