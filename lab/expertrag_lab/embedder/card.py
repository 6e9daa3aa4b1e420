"""The card of a bundle: training data, gains and limits."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_lab.embedder.experts import ExpertReport
from expertrag_lab.embedder.mining import DEV_POOL
from expertrag_lab.embedder.recipe import Recipe
from expertrag_lab.router.fit import RouterFigures
from expertrag_retriever.experts.bundle import Base


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What was trained. ``router`` is None for a single domain, which needs none.

    ``command``: the command that repeats the training.
    """

    base: Base
    recipe: Recipe
    experts: tuple[ExpertReport, ...]
    router: RouterFigures | None
    command: str


def card(report: BundleReport) -> str:
    """Write the card as Markdown."""
    return f"""---
base_model: {report.base.name}
library_name: sentence-transformers
tags: [sentence-similarity, mixture-of-experts]
---
# Embedding experts for {report.base.name}

{_experts(report)}
{_router(report)}
Trained by

    {report.command}

with a contrastive loss, mined hard negatives, and the base model's own similarities as an anchor
({_recipe(report.recipe)}). The hash of a domain covers its pairs, its documents and the recipe.
Everything but the experts is the base model, whose files have the fingerprint
`{report.base.fingerprint}`; texts of the domain `general`, and texts that the router assigns to
none of these domains, get exactly the vectors of the base model.

Limits: the dev slices are held-out queries of the training sets, each set ranked over a pool of
{DEV_POOL} documents, most of them near the queries; gains on other data are smaller.
"""


def _experts(report: BundleReport) -> str:
    lines = [
        "| domain | pairs | dev nDCG@10 by data set, base -> expert | drift | served by |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {expert.domain} | {expert.pairs:,} (`{expert.data}`) | {_gains(expert)} | "
        f"{expert.drift:.3f} | {_name_server(expert)} |"
        for expert in report.experts
    ]
    return "\n".join(lines) + "\n"


def _name_server(expert: ExpertReport) -> str:
    if expert.helps:
        return "its expert"
    best = max(expert.points[1:], key=lambda point: point.mean, default=None)
    if best is None:
        return "the base model"
    tried = ", ".join(
        f"{name} {value - expert.before[name]:+.3f}" for name, value in best.dev.items()
    )
    return f"the base model: its best expert ({tried}) did not help, or harmed a set"


def _gains(expert: ExpertReport) -> str:
    return "; ".join(
        f"{name} {value:.3f} -> {expert.after[name]:.3f}" for name, value in expert.before.items()
    )


def _router(report: BundleReport) -> str:
    figures = report.router
    if figures is None:
        return "There is no router: texts without a given domain are served by the base model.\n"
    experts = sorted(report.experts, key=lambda expert: not expert.helps)
    names = [*(expert.domain for expert in experts), "none of them"]
    use = ", ".join(f"{name} ({share:.1%})" for name, share in zip(names, figures.use, strict=True))
    return (
        f"The router is right on {figures.accuracy:.1%} of {figures.texts:,} held-out texts "
        f"(calibration error {figures.ece:.3f}). It assigns them to {use}.\n"
    )


def _recipe(recipe: Recipe) -> str:
    form = recipe.form.value.replace("_", " ")
    return (
        f"{form}, rank {recipe.rank}, {recipe.epochs} epochs of at most {recipe.most_pairs} pairs, "
        f"batches of {recipe.batch}, learning rate {recipe.learning_rate:g}, temperature "
        f"{recipe.temperature:g}, anchor {recipe.anchor:g}, {recipe.max_tokens} tokens, "
        f"seed {recipe.seed}"
    )
