"""The card of a bundle: what was trained on what, what it gains, and what it is not for."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.router.fit import RouterFigures
from expertrag_retriever.training.data import DEV_POOL
from expertrag_retriever.training.experts import ExpertReport
from expertrag_retriever.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What was trained. ``router`` is None with fewer than two experts, which need none."""

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
Trained by `expertrag train experts` ({_recipe(report.recipe)}) with cached contrastive loss and
mined hard negatives. Everything but the experts is the base model, whose files have the fingerprint
`{report.base.fingerprint}`; the general expert, and texts that the router takes for none of these
domains, are the base model bit for bit.

Limits: the dev slices are queries of the training sets that were kept from training, over pools of
{DEV_POOL} documents; figures on other data are lower.
"""


def _experts(report: BundleReport) -> str:
    lines = [
        "| domain | data | pairs | dev nDCG@10, base | expert | drift | served by |",
        "|---|---|---|---|---|---|---|",
    ]
    for expert in report.experts:
        served = "its expert" if expert.helps else "the general expert: its own did not help"
        lines.append(
            f"| {expert.domain} | {', '.join(expert.sources)} (`{expert.data}`) | "
            f"{expert.pairs:,} | {expert.before:.3f} | {expert.after:.3f} | {expert.drift:.3f} | "
            f"{served} |"
        )
    return "\n".join(lines) + "\n"


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
        f"{recipe.temperature:g}, {recipe.max_tokens} tokens, seed {recipe.seed}"
    )
