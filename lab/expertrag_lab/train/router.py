"""Train, open and evaluate routers (``expertrag router``)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from expertrag import models
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.load.loading import quiet
from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.types import FloatArray
from expertrag_lab.data.domain_texts import domain_texts
from expertrag_lab.data.named_sets import TRAIN, Data
from expertrag_lab.router.explain import Explanation, explain
from expertrag_lab.router.fit import fit_router
from expertrag_lab.router.measure import confusion, figures
from expertrag_lab.router.pooling import pool_states
from expertrag_lab.router.unlabelled import cluster_texts
from expertrag_lab.trunk import first_layer_of
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.experts.bundle import Base, base_of, is_bundle
from expertrag_retriever.experts.storage import load_settings
from expertrag_retriever.router.router import DomainRouter
from expertrag_retriever.router.storage import Origin, load_router, save_router
from expertrag_retriever.router.types import RouterFigures

if TYPE_CHECKING:
    from expertrag_index.types import Progress


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained router: number of ``texts`` per domain, and cross-validated ``figures``."""

    out: Path
    base: str
    texts: dict[str, int]
    figures: RouterFigures


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of a router on one split.

    ``known``: figures on texts of the router's own domains; None without any. ``confusion``: for
    each own domain, how many texts were routed to each domain, "general" meaning none.
    ``foreign``: for each domain that the router does not have, the share of texts routed to none.
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

    :param most: maximum number of queries, and of documents, per domain.
    :param clusters: number of domains to find if the texts are not ``labelled``; None: choose it
        automatically.
    :raises ExpertRAGError: a data set, the base model or the texts cannot be used.
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

    ``experts``: number of domains, from the first, with an embedding expert; None without experts.
    """

    router: DomainRouter
    embedder: SentenceTransformerEmbedder
    experts: int | None = None

    def explain(self, text: str, allowed: Collection[str] | None = None) -> Explanation:
        """Route a text and explain the result.

        :raises InvalidArgument: the text is empty, or an allowed domain is unknown to the router.
        """
        if not text.strip():
            raise InvalidArgument("the text is empty; give one to route")
        unknown = sorted(set(allowed or ()) - set(self.router.domains))
        if unknown:
            raise InvalidArgument(
                f"the router has no domain {', '.join(unknown)}; it has "
                f"{', '.join(self.router.domains)}"
            )
        states = pool_states(self.embedder.model, [text])[0]
        return explain(self.router, text, states, allowed, self.experts)

    def measure(self, data: Data, split: str, most: int, seed: int, progress: Progress) -> Measured:
        """Evaluate the router on one split of data sets."""
        texts = domain_texts(data, split, most, seed)
        pool = _Pool(self.embedder, progress)
        pooled = pool([text for some in texts.values() for text in some])
        posterior = self.router.posterior(torch.from_numpy(pooled)).numpy()
        truth = np.repeat(list(texts), [len(some) for some in texts.values()])
        return _measure(self.router.domains, posterior, truth.tolist())


def open_router(name: str, base: str | None = None) -> OpenRouter:
    """Open a router, from its own folder or from a bundle of experts, with its base model.

    :param name: the folder, or the name of a shipped bundle.
    :param base: location of the base model; by default the one recorded with the router.
    :raises ExpertRAGError: one of them is missing or damaged, or the base model does not match.
    """
    folder = Path(models.resolve(name))
    with translate_errors():
        router, origin = load_router(folder)
        experts = None
        if origin is not None:
            trained_on = Base(origin.base, origin.fingerprint)
        elif is_bundle(folder):
            trained_on = base_of(folder)
            experts = len(load_settings(folder).domains)
        else:
            raise InvalidArgument(
                f"the router in {folder} does not record the base model it was trained on; pass a "
                "folder written by `train router`, or a bundle"
            )
    _, embedder = _open_base(base or trained_on.name)
    if embedder.fingerprint != trained_on.fingerprint:
        raise Conflict(
            f"the router in {folder} was trained on {trained_on.name}, whose files differ from "
            "this model's: name that model with --base, or train the router again",
            reason="EMBEDDER_MISMATCH",
        )
    return OpenRouter(router, embedder, experts)


def _open_base(name: str) -> tuple[str, SentenceTransformerEmbedder]:
    """Load the base model; a folder is recorded by its absolute path."""
    if Path(name).is_dir():
        name = str(Path(name).resolve())
    with translate_errors(), quiet():
        return name, load_embedder(models.resolve(name), name=name)


class _Pool:
    """Compute mean hidden states of texts, with progress; each text is encoded once.

    Clustering asks for the same texts twice: to find the clusters, and to train on them.
    """

    def __init__(self, embedder: SentenceTransformerEmbedder, progress: Progress) -> None:
        self._model = embedder.model
        self._progress = progress
        self._seen: dict[str, FloatArray] = {}

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        new = [text for text in dict.fromkeys(texts) if text not in self._seen]
        states = pool_states(
            self._model, new, lambda done, total: self._progress("reading texts", done, total)
        )
        self._seen.update(zip(new, states, strict=True))
        return np.stack([self._seen[text] for text in texts])


def _measure(domains: Sequence[str], posterior: FloatArray, truth: Sequence[str]) -> Measured:
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
