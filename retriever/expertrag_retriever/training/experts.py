"""Training a bundle: one expert a domain, each apart from the others, then the router.

Routing is enforced while an expert learns (Hallee et al. 2024): batches are of
one domain, and all else is frozen. So an expert of the bundle is its domain's specialist, neither
helped nor harmed by the others, and one more can be added without touching them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from expertrag_index.durable import write_durably
from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import GENERAL, ExpertSettings
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.training.contrastive import ExpertTrainer, Learned, Point, Weights
from expertrag_retriever.training.data import prepare
from expertrag_retriever.training.mining import mine
from expertrag_retriever.training.recipe import Recipe
from expertrag_retriever.training.types import DomainData, Example, Progress, Source

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LoadBase = Callable[[], "SentenceTransformer"]
"""Loads the base model anew, in the number format that this machine is fast in."""

_RESULT = "expert"


@dataclass(frozen=True, slots=True)
class ExpertReport:
    """What became of one domain's expert.

    ``helps`` is False where the expert did not beat the base on its dev slice: it is not in the
    bundle then. ``drift`` is 1 - the mean cosine of its vectors with the base's, on dev documents.
    ``data`` is a hash of the pairs and the dev queries.
    """

    domain: str
    pairs: int
    dropped: Mapping[str, int]
    dev_queries: int
    sources: tuple[str, ...]
    data: str
    before: float
    after: float
    helps: bool
    drift: float
    seconds: float
    points: tuple[Point, ...]


def train_expert(
    domain: str,
    sources: Sequence[Source],
    load_base: LoadBase,
    recipe: Recipe,
    work: Path,
    progress: Progress,
) -> tuple[Weights, ExpertReport, DomainData]:
    """Train the expert of one domain; a finished one in ``work`` is taken as it is.

    :raises TrainingError: too few usable pairs.
    """
    data = prepare(domain, sources, most_pairs=recipe.most_pairs, seed=recipe.seed)
    if not data.dev:
        raise TrainingError(f"domain {domain} has too few queries to keep some for a dev slice")
    digest = _digest(data, recipe)
    folder = work / domain
    known = _finished(folder, digest)
    if known:
        return (*known, data)
    started = time.monotonic()
    model = _with_expert(load_base(), domain, recipe)
    embedder = SentenceTransformerEmbedder(domain, model, "")
    progress(f"{domain}: mining negatives", 0, None)
    examples = _examples(data, embedder, recipe)
    trainer = ExpertTrainer(
        model,
        lambda texts: embedder.encode_documents(texts, domain),
        recipe,
        folder / digest,
        progress,
    )
    learned = trainer.train(examples, data.dev, domain)
    trainer.use(learned.weights)
    report = ExpertReport(
        domain=domain,
        pairs=data.pairs,
        dropped=data.dropped,
        dev_queries=sum(len(dev.queries) for dev in data.dev),
        sources=tuple(source.name for source in data.sources),
        data=digest,
        before=learned.before,
        after=learned.after,
        helps=learned.helps,
        drift=_drift(embedder, data, domain),
        seconds=time.monotonic() - started,
        points=learned.points,
    )
    _finish(folder, learned, report)
    return learned.weights, report, data


def _with_expert(model: SentenceTransformer, domain: str, recipe: Recipe) -> SentenceTransformer:
    """Give a base model one expert to train, in float32 beside a base of any format."""
    torch.manual_seed(recipe.seed)
    model.max_seq_length = min(recipe.max_tokens, model.max_seq_length or recipe.max_tokens)
    transformer = with_experts(model, ExpertSettings((domain,), recipe.form, recipe.rank))
    for _, layer in expert_layers(transformer.model):
        layer.float_experts()
    return model


def _examples(
    data: DomainData, embedder: SentenceTransformerEmbedder, recipe: Recipe
) -> list[Example]:
    """Mine negatives by the base model, in each source by itself."""
    return [
        example
        for source in data.sources
        for example in mine(
            source,
            lambda texts: embedder.encode_documents(texts, GENERAL),
            negatives=recipe.negatives,
            seed=recipe.seed,
        )
    ]


def _drift(embedder: SentenceTransformerEmbedder, data: DomainData, domain: str) -> float:
    texts = [text for dev in data.dev for text in dev.documents][:256]
    own = embedder.encode_documents(texts, domain)
    base = embedder.encode_documents(texts, GENERAL)
    return float(1.0 - np.mean(np.sum(own * base, axis=1)))


def _digest(data: DomainData, recipe: Recipe) -> str:
    """Hash of everything that a training depends on but the base model."""
    state = hashlib.sha256(json.dumps(asdict(recipe)).encode())
    for source in data.sources:
        for pair in source.pairs:
            state.update(f"{pair.query}\0{source.corpus[pair.document]}\0".encode())
    for dev in data.dev:
        state.update("\0".join(dev.queries).encode())
    return state.hexdigest()[:16]


def _finish(folder: Path, learned: Learned, report: ExpertReport) -> None:
    save_file(learned.weights, folder / f"{_RESULT}.safetensors")
    write_durably(folder / f"{_RESULT}.json", json.dumps(asdict(report)).encode())


def _finished(folder: Path, digest: str) -> tuple[Weights, ExpertReport] | None:
    path = folder / f"{_RESULT}.json"
    if not path.is_file():
        return None
    body = json.loads(path.read_bytes())
    if body["data"] != digest:
        return None
    body["points"] = tuple(Point(**point) for point in body["points"])
    body["sources"] = tuple(body["sources"])
    return load_file(folder / f"{_RESULT}.safetensors"), ExpertReport(**body)
