"""The router of ``expertrag router``: trained, opened with its base model, measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from expertrag import models
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.data.domain_texts import domain_texts
from expertrag.data.named_sets import TRAIN, Data
from expertrag.llm.load.loading import quiet
from expertrag.runtime.error_mapping import translated_errors
from expertrag_index.types import FloatArray
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.experts.bundle import Base, base_of, is_bundle
from expertrag_retriever.experts.storage import load_settings
from expertrag_retriever.experts.trunk import first_layer_of
from expertrag_retriever.router.explain import Explanation, explain
from expertrag_retriever.router.fit import fit_router
from expertrag_retriever.router.measure import confusion, figures
from expertrag_retriever.router.pooling import pooled_states
from expertrag_retriever.router.router import Router
from expertrag_retriever.router.storage import Origin, load_router, save_router
from expertrag_retriever.router.types import RouterFigures
from expertrag_retriever.router.unlabelled import cluster_texts

if TYPE_CHECKING:
    from expertrag_index.types import Progress


@dataclass(frozen=True, slots=True)
class Trained:
    """A router that was made: ``texts`` by domain, and its ``figures`` by cross-validation."""

    out: Path
    base: str
    texts: dict[str, int]
    figures: RouterFigures


@dataclass(frozen=True, slots=True)
class Measured:
    """A router on texts of a split.

    ``known`` is None without a text of one of its domains; ``confusion`` counts what texts of each
    domain are taken for, "general" for none; ``foreign``: the share of texts of each domain that
    the router does not have that is taken for none.
    """

    known: RouterFigures | None
    confusion: dict[str, dict[str, int]]
    foreign: dict[str, float]


def train(
    data: Data,
    base: str,
    out: Path,
    *,
    most: int,
    clusters: int | None,
    labelled: bool,
    seed: int,
    progress: Progress,
) -> Trained:
    """Train a router on the train splits of data sets, and write it to ``out``.

    :param most: queries and documents of each domain.
    :param clusters: how many domains to find where the texts are not ``labelled``; None: by itself.
    :raises ExpertRAGError: a data set or the base model cannot be used, or the texts do not do.
    """
    texts = domain_texts(data, TRAIN, most, seed)
    name, embedder = _open_base(base)
    pool = _Pool(embedder, progress)
    if not labelled:
        flat = [text for some in texts.values() for text in some]
        texts = cluster_texts(flat, pool, clusters, seed)
    router, held_out = fit_router(texts, pool, seed)
    origin = Origin(name, embedder.fingerprint, first_layer_of(embedder.model), held_out)
    save_router(router, out, origin)
    return Trained(out, name, {domain: len(some) for domain, some in texts.items()}, held_out)


@dataclass(frozen=True, slots=True)
class OpenRouter:
    """A router with the base model that it was trained on.

    ``experts``: how many of its domains, the first, have an expert; None where there are none yet.
    """

    router: Router
    embedder: SentenceTransformerEmbedder
    experts: int | None = None

    def explain(self, text: str, allowed: Collection[str] | None = None) -> Explanation:
        """Route a text, and say why.

        :raises InvalidArgument: an empty text, or an allowed domain that the router does not have.
        """
        if not text.strip():
            raise InvalidArgument("the text is empty; give one to route")
        unknown = sorted(set(allowed or ()) - set(self.router.domains))
        if unknown:
            raise InvalidArgument(
                f"the router has no domain {', '.join(unknown)}; it has "
                f"{', '.join(self.router.domains)}"
            )
        states = pooled_states(self.embedder.model, [text])[0]
        return explain(self.router, text, states, allowed, self.experts)

    def measure(self, data: Data, split: str, most: int, seed: int, progress: Progress) -> Measured:
        """Measure the router on one split of data sets."""
        texts = domain_texts(data, split, most, seed)
        pool = _Pool(self.embedder, progress)
        pooled = pool([text for some in texts.values() for text in some])
        posterior = self.router.posterior(torch.from_numpy(pooled)).numpy()
        truth = np.repeat(list(texts), [len(some) for some in texts.values()])
        return _measured(self.router.domains, posterior, truth.tolist())


def open_router(name: str, base: str | None = None) -> OpenRouter:
    """Open a router of a folder of its own or of a bundle of experts, and its base model.

    :param name: the folder, or the name of a bundle that is shipped.
    :param base: where that lies, unless where the router says.
    :raises ExpertRAGError: one of them is missing or damaged, or the model is another one.
    """
    folder = Path(models.resolve(name))
    with translated_errors():
        router, origin = load_router(folder)
        experts = None
        if origin is not None:
            trained_on = Base(origin.base, origin.fingerprint)
        elif is_bundle(folder):
            trained_on = base_of(folder)
            experts = len(load_settings(folder).domains)
        else:
            raise InvalidArgument(
                f"the router in {folder} belongs to the model beside it and does not say on which "
                "it was trained; name a folder of `router train`, or a bundle"
            )
    _, embedder = _open_base(base or trained_on.name)
    if embedder.fingerprint != trained_on.fingerprint:
        raise Conflict(
            f"the router in {folder} was trained on {trained_on.name}, whose files differ from "
            "those of this model: name that model with --base, or train the router again",
            reason="EMBEDDER_MISMATCH",
        )
    return OpenRouter(router, embedder, experts)


def _open_base(name: str) -> tuple[str, SentenceTransformerEmbedder]:
    """Load the base model; a folder is remembered by its full path."""
    if Path(name).is_dir():
        name = str(Path(name).resolve())
    with translated_errors(), quiet():
        return name, load_embedder(models.resolve(name), name=name)


class _Pool:
    """Mean hidden states of texts, each read once, with progress.

    Texts are read twice where clusters are made of them: to find the clusters, and to train on.
    """

    def __init__(self, embedder: SentenceTransformerEmbedder, progress: Progress) -> None:
        self._model = embedder.model
        self._progress = progress
        self._seen: dict[str, FloatArray] = {}

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        new = [text for text in dict.fromkeys(texts) if text not in self._seen]
        states = pooled_states(
            self._model, new, lambda done, total: self._progress("reading texts", done, total)
        )
        self._seen.update(zip(new, states, strict=True))
        return np.stack([self._seen[text] for text in texts])


def _measured(domains: Sequence[str], posterior: FloatArray, truth: Sequence[str]) -> Measured:
    own = np.array([name in domains for name in truth])
    labels = np.array([domains.index(name) for name in truth if name in domains], dtype=np.int64)
    counts = confusion(posterior[own], labels) if own.any() else None
    none = posterior.argmax(axis=1) == len(domains)
    return Measured(
        known=figures(posterior[own], labels) if own.any() else None,
        confusion={}
        if counts is None
        else {
            name: dict(zip((*domains, "general"), row, strict=True))
            for name, row in zip(domains, counts.tolist(), strict=True)
            if sum(row)
        },
        foreign={
            name: float(none[[other == name for other in truth]].mean())
            for name in dict.fromkeys(truth)
            if name not in domains
        },
    )
