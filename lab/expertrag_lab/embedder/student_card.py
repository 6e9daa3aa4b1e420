"""The card of a student: cost, quality and limits."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_lab.embedder.mining import DEV_POOL
from expertrag_lab.embedder.student import StudentPoint, StudentRecipe
from expertrag_retriever.experts.bundle import Base


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """Dev nDCG@10 of a domain by base, teacher and student, and the mean cosines to the teacher.

    ``base_cosine`` is the base's: where the student would be if it had learned nothing.
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

    ``texts``: their number, all domains together. ``seconds`` of training. ``cosine``: mean over
    held-out texts. ``bundle_bytes`` are in addition to a base model as large as the student.
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
    points: tuple[StudentPoint, ...]


def card(report: StudentReport) -> str:
    """Write the card as Markdown."""
    first = report.points[0].cosine
    return f"""---
base_model: {report.base.name}
library_name: sentence-transformers
tags: [sentence-similarity, distillation]
---
# {report.base.name}, distilled from the experts of {report.bundle}

A plain sentence-transformers model with the base model's architecture, distilled from embedding
experts: for each text its vector is close to the vector of the text's domain expert. It has no
experts and no router, and costs as much as the base model.

{_table(report)}
On held-out texts the mean cosine to the teacher is {report.cosine:.4f} (at the start, with the mean
of the experts' updates: {first:.4f}).

Cost: {report.seconds:.0f} s of training on {report.texts:,} texts, and
{_megabytes(report.student_bytes)}; the teacher is a base model of the same size plus a bundle of
{_megabytes(report.bundle_bytes)}.

Made by `expertrag train distil` ({_recipe(report.recipe)})
from base files with the fingerprint `{report.base.fingerprint}`.

Limits: the dev slices are held-out queries over pools of {DEV_POOL} documents, some of which were
trained on; figures on other data are lower. Texts of none of these domains get the student's
vectors; with the bundle they would get the base model's.
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
