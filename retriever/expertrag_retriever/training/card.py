"""The card of a bundle: what was trained on what, what it gains, and what it is not for."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.router.fit import RouterFigures
from expertrag_retriever.training.experts import ExpertReport
from expertrag_retriever.training.mining import DEV_POOL
from expertrag_retriever.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What was trained. ``router`` is None of a single domain, which needs none."""

    base: Base
    recipe: Recipe
    experts: tuple[ExpertReport, ...]
    router: RouterFigures | None


def card(report: BundleReport) -> str:
    """Write the card as Markdown."""
    return f"""---
base_model: {report.base.name}
library_name: sentence-transformers
tags: [sentence-similarity, mixture-of-experts]
---
# Domain experts for {report.base.name}

{_experts(report)}
{_router(report.router)}
Trained by `expertrag train experts` ({_recipe(report.recipe)}) with a contrastive loss, mined
hard negatives, and the base model's own similarities as an anchor. Everything but the experts is
the base model, whose files have the fingerprint `{report.base.fingerprint}`; the general expert,
and texts that the router takes for none of these domains, are the base model bit for bit.

Limits: the dev slices are queries of the training sets that were kept from training, each set over
a pool of {DEV_POOL} documents, most of them near the queries; gains on other data are smaller.
"""


def _experts(report: BundleReport) -> str:
    lines = [
        "| domain | pairs | dev nDCG@10 by data set, base -> expert | drift | served by |",
        "|---|---|---|---|---|",
    ]
    for expert in report.experts:
        served = "its expert" if expert.helps else "the general expert: its own did not help"
        lines.append(
            f"| {expert.domain} | {expert.pairs:,} (`{expert.data}`) | {_gains(expert)} | "
            f"{expert.drift:.3f} | {served} |"
        )
    return "\n".join(lines) + "\n"


def _gains(expert: ExpertReport) -> str:
    return "; ".join(
        f"{name} {value:.3f} -> {expert.after[name]:.3f}" for name, value in expert.before.items()
    )


def _router(figures: RouterFigures | None) -> str:
    if figures is None:
        return "There is no router: name the domain of a text, or it is served by the base model.\n"
    return (
        f"The router is right on {figures.accuracy:.1%} of {figures.texts:,} held-out texts "
        f"(calibration error {figures.ece:.3f}) and takes {1 - figures.known:.1%} of them for none "
        "of the domains.\n"
    )


def _recipe(recipe: Recipe) -> str:
    form = recipe.form.value.replace("_", " ")
    return (
        f"{form}, rank {recipe.rank}, {recipe.epochs} epochs of at most {recipe.most_pairs} pairs, "
        f"batches of {recipe.batch}, learning rate {recipe.learning_rate:g}, temperature "
        f"{recipe.temperature:g}, anchor {recipe.anchor:g}, {recipe.max_tokens} tokens, "
        f"seed {recipe.seed}"
    )
