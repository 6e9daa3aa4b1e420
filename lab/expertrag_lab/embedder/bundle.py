"""Builds a bundle from trained experts: those that help, with a router and a card."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from expertrag_index.types import Progress
from expertrag_lab.embedder.card import BundleReport, card
from expertrag_lab.embedder.checkpoint import Weights
from expertrag_lab.embedder.data import prepare
from expertrag_lab.embedder.experts import (
    ExpertReport,
    LoadBase,
    digest_of,
    experts_of,
    train_expert,
)
from expertrag_lab.embedder.language import check_language
from expertrag_lab.embedder.recipe import Recipe
from expertrag_lab.embedder.types import Source
from expertrag_lab.router.fit import RouterFigures, fit_router, usable_texts
from expertrag_lab.router.pooling import pool_states
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.errors import EmbedderError, TrainingError
from expertrag_retriever.experts.bundle import Base, base_of
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import ExpertSettings
from expertrag_retriever.experts.storage import save_experts
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.publish import publish

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from expertrag_retriever.experts.module import ExpertTransformer
    from expertrag_retriever.router.router import DomainRouter

_ROUTER_TEXTS = 800  # per domain; more do not change the result


def train_bundle(
    domains: Mapping[str, Sequence[Source]],
    base: Base,
    load_base: LoadBase,
    recipe: Recipe,
    out: Path,
    progress: Progress,
    *,
    reuse: Path | None = None,
    command: str = "expertrag train embedder",
) -> BundleReport:
    """Train an expert for each domain and write the bundle ``out`` atomically.

    Intermediate state is kept in ``OUT.partial`` until done: a killed training resumes from it.

    :param reuse: a bundle on the same base; its experts that were trained on the same data with the
        same recipe are reused.
    :param command: the command that repeats this training, for the card.
    :raises TrainingError: a domain has too little data or an unknown language, or none gains.
    :raises OutputTakenError: another run for ``out`` is under way.
    :raises RouterError: no router can be trained on the domains' texts.
    :raises EmbedderError: ``reuse`` is not a bundle, is damaged, or belongs to another base.
    """
    known = _read_experts(reuse, base) if reuse else {}
    data = [
        prepare(domain, sources, most_pairs=recipe.most_pairs, seed=recipe.seed)
        for domain, sources in domains.items()
    ]
    texts = {item.domain: _sample(item.texts, recipe.seed) for item in data}
    if len(texts) > 1:
        usable_texts(texts)  # raise what the router would raise before hours of training
    check_language(load_base(), texts, base.name)
    with work_folder(out) as partial:
        work = partial / base.fingerprint  # experts of another base cannot be reused
        results = {
            item.domain: known.get((item.domain, digest_of(item, recipe)))
            or train_expert(item, load_base, recipe, work, progress)
            for item in data
        }
        trained = _helpful(results)
        settings = ExpertSettings(tuple(trained), recipe.form, recipe.rank)
        model = load_base()
        transformer = _with_trained(model, settings, trained)
        figures = None
        if len(texts) > 1:
            transformer.router, figures = _route(model, texts, trained, recipe, progress)
        reports = tuple(each for _, each in results.values())
        report = BundleReport(base, recipe, reports, figures, command)
        _publish(transformer, settings, report, out)
    return report


def _read_experts(bundle: Path, base: Base) -> dict[tuple[str, str], tuple[Weights, ExpertReport]]:
    own = base_of(bundle)
    if own.fingerprint != base.fingerprint:
        raise EmbedderError(
            f"the experts in {bundle} were trained on a different version of {own.name}: do not "
            "reuse them, or name that base model"
        )
    return experts_of(bundle)


def _sample(texts: Sequence[str], seed: int) -> list[str]:
    """Sample the texts of a domain that the router is trained on."""
    return random.Random(seed).sample(list(texts), min(len(texts), _ROUTER_TEXTS))


def _helpful(results: Mapping[str, tuple[Weights, ExpertReport]]) -> dict[str, Weights]:
    """Return the weights of the experts that beat the base model.

    :raises TrainingError: none does.
    """
    trained = {domain: weights for domain, (weights, report) in results.items() if report.helps}
    if not trained:
        raise TrainingError(
            "no expert beats the base model on its dev slice, so the base model serves these "
            "domains as well: add data, or train longer (--profile full)"
        )
    return trained


def _with_trained(
    model: SentenceTransformer, settings: ExpertSettings, trained: Mapping[str, Weights]
) -> ExpertTransformer:
    """Insert the trained experts into the base model."""
    transformer = with_experts(model, settings)
    for name, layer in expert_layers(transformer.model):
        layer.first.data = _stack(trained, f"{name}.first")
        layer.second.data = _stack(trained, f"{name}.second")
    return transformer


def _stack(trained: Mapping[str, Weights], name: str) -> torch.Tensor:
    """Concatenate the experts of one layer, (E, …), in the order of the domains."""
    return torch.cat([weights[name] for weights in trained.values()])


def _route(
    model: SentenceTransformer,
    texts: Mapping[str, Sequence[str]],
    trained: Mapping[str, Weights],
    recipe: Recipe,
    progress: Progress,
) -> tuple[DomainRouter, RouterFigures]:
    """Train the router."""
    progress("router", 0, 1)
    # domains without an expert come last: the router knows them, the base serves them
    order = sorted(texts, key=lambda domain: domain not in trained)
    ordered = {domain: texts[domain] for domain in order}
    router, figures = fit_router(ordered, lambda batch: pool_states(model, batch), seed=recipe.seed)
    progress("router", 1, 1)
    return router, figures


def _publish(
    transformer: ExpertTransformer, settings: ExpertSettings, report: BundleReport, out: Path
) -> None:
    with publish(out) as scratch:
        save_experts(
            transformer.model,
            settings,
            transformer.router,
            scratch,
            {"base": asdict(report.base), "training": asdict(report)},
        )
        (scratch / "README.md").write_text(card(report), encoding="utf-8")
