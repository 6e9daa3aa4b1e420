"""From trained experts to a bundle: those that help, side by side, with a router and a card."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import ExpertSettings
from expertrag_retriever.experts.storage import save_experts
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.router.fit import RouterFigures, fit_router
from expertrag_retriever.router.pooling import pooled_states
from expertrag_retriever.training.card import BundleReport, card
from expertrag_retriever.training.checkpoint import Weights
from expertrag_retriever.training.experts import LoadBase, train_expert
from expertrag_retriever.training.publish import published
from expertrag_retriever.training.recipe import Recipe
from expertrag_retriever.training.types import Progress, Source

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from expertrag_retriever.experts.module import ExpertTransformer
    from expertrag_retriever.router.router import Router

_ROUTER_TEXTS = 800  # of a domain; more change nothing


def train_bundle(
    domains: Mapping[str, Sequence[Source]],
    base: Base,
    load_base: LoadBase,
    recipe: Recipe,
    out: Path,
    progress: Progress,
) -> BundleReport:
    """Train an expert for each domain and write the bundle ``out``, whole or not at all.

    Work is kept in ``OUT.partial`` until it is done: a killed training goes on there.

    :raises TrainingError: a domain with too little data, or no expert that beats the base.
    """
    partial = out.with_name(f"{out.name}.partial")
    work = partial / base.fingerprint  # experts of another base are no use here
    trained: dict[str, Weights] = {}
    reports = []
    texts: dict[str, Sequence[str]] = {}
    for domain, sources in domains.items():
        weights, report, data = train_expert(domain, sources, load_base, recipe, work, progress)
        reports.append(report)
        texts[domain] = data.texts
        if report.helps:
            trained[domain] = weights
    if not trained:
        raise TrainingError(
            "no expert beats the base model on its dev slice: the base serves these domains as "
            "well; add data, or train longer (--profile full)"
        )
    settings = ExpertSettings(tuple(trained), recipe.form, recipe.rank)
    model = load_base()
    transformer = with_experts(model, settings)
    for name, layer in expert_layers(transformer.model):
        layer.first.data = _stacked(trained, f"{name}.first")
        layer.second.data = _stacked(trained, f"{name}.second")
    figures = None
    if len(texts) > 1:
        # domains without an expert come last: the router knows them, and the base serves them
        ordered = {
            domain: texts[domain]
            for domain in (*trained, *(name for name in texts if name not in trained))
        }
        transformer.router, figures = _route(model, ordered, recipe, progress)
    report_all = BundleReport(base, recipe, tuple(reports), figures)
    _publish(transformer, settings, report_all, out)
    shutil.rmtree(partial, ignore_errors=True)
    return report_all


def _stacked(trained: Mapping[str, Weights], name: str) -> torch.Tensor:
    """Put the experts of one layer side by side, (E, …), in the order of the domains."""
    return torch.cat([weights[name] for weights in trained.values()])


def _route(
    model: SentenceTransformer,
    texts: Mapping[str, Sequence[str]],
    recipe: Recipe,
    progress: Progress,
) -> tuple[Router, RouterFigures]:
    """Train the router on a sample of what the experts were trained on."""
    progress("router", 0, 1)
    sampled = {
        domain: random.Random(recipe.seed).sample(list(some), min(len(some), _ROUTER_TEXTS))
        for domain, some in texts.items()
    }
    router, figures = fit_router(
        sampled, lambda batch: pooled_states(model, batch), seed=recipe.seed
    )
    progress("router", 1, 1)
    return router, figures


def _publish(
    transformer: ExpertTransformer, settings: ExpertSettings, report: BundleReport, out: Path
) -> None:
    with published(out) as scratch:
        save_experts(
            transformer.model,
            settings,
            transformer.router,
            scratch,
            {"base": asdict(report.base), "training": asdict(report)},
        )
        (scratch / "README.md").write_text(card(report), encoding="utf-8")
