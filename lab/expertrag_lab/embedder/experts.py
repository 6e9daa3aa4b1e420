"""Trains the experts of a bundle, one per domain, independently of each other.

Routing is enforced during training (Hallee et al. 2024): every batch is from one domain, and all
other parameters are frozen. So each expert specialises in its domain without influence from the
others, and an expert can be added without changing them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from expertrag_common.durable import write_durably
from expertrag_index.types import Progress
from expertrag_lab.embedder.checkpoint import Weights
from expertrag_lab.embedder.contrastive import ExpertTrainer, Point
from expertrag_lab.embedder.loop import TrainingResult
from expertrag_lab.embedder.mining import mine
from expertrag_lab.embedder.recipe import Recipe
from expertrag_lab.embedder.types import DevSet, DomainData, Example
from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import GENERAL, ExpertSettings
from expertrag_retriever.experts.storage import read_experts
from expertrag_retriever.experts.surgery import expert_layers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LoadBase = Callable[[], "SentenceTransformer"]
"""Loads a new copy of the base model, in the number format that is fast on this machine."""

_RESULT = "expert"


@dataclass(frozen=True, slots=True)
class ExpertReport:
    """Results of training one domain's expert.

    ``before`` and ``after``: dev nDCG@10 of base and expert by data set. ``helps`` is False if the
    expert did not beat the base or harmed a set: then it is left out of the bundle. ``drift`` is
    1 - the mean cosine of its vectors with the base's, on dev documents. ``data`` is a hash of the
    pairs and the dev queries.
    """

    domain: str
    pairs: int
    dropped: Mapping[str, int]
    dev_queries: int
    sources: tuple[str, ...]
    data: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    helps: bool
    drift: float
    seconds: float
    points: tuple[Point, ...]


def train_expert(
    data: DomainData, load_base: LoadBase, recipe: Recipe, work: Path, progress: Progress
) -> tuple[Weights, ExpertReport]:
    """Train the expert of one domain; a finished one in ``work`` is reused."""
    domain = data.domain
    digest = digest_of(data, recipe)
    folder = work / domain / digest
    known = _read_result(folder)
    if known:
        return known
    started = time.monotonic()
    model = _with_expert(load_base(), domain, recipe)
    embedder = SentenceTransformerEmbedder(domain, model, "")
    progress(f"{domain}: mining negatives", 0, None)
    examples, dev = _mine(data, embedder, recipe)
    trainer = ExpertTrainer(model, recipe, folder, progress)
    learned = trainer.train(examples, dev, domain)
    trainer.use(learned.weights)
    report = ExpertReport(
        domain=domain,
        pairs=data.pairs,
        dropped=data.dropped,
        dev_queries=sum(len(item.queries) for item in dev),
        sources=tuple(source.name for source in data.sources),
        data=digest,
        before=learned.before.dev,
        after=learned.after.dev,
        helps=learned.best > 0,
        drift=_drift(embedder, dev, domain),
        seconds=time.monotonic() - started,
        points=learned.points,
    )
    _finish(folder, learned, report)
    return learned.weights, report


def _with_expert(model: SentenceTransformer, domain: str, recipe: Recipe) -> SentenceTransformer:
    """Add one trainable float32 expert to a base model of any number format."""
    torch.manual_seed(recipe.seed)
    model.max_seq_length = min(recipe.max_tokens, model.max_seq_length or recipe.max_tokens)
    transformer = with_experts(model, ExpertSettings((domain,), recipe.form, recipe.rank))
    for _, layer in expert_layers(transformer.model):
        layer.float_experts()
    return model


def _mine(
    data: DomainData, embedder: SentenceTransformerEmbedder, recipe: Recipe
) -> tuple[list[Example], list[DevSet]]:
    """Mine hard negatives and dev sets with the base model, separately in each source."""
    per_source = [
        mine(
            source,
            held_out,
            lambda texts: embedder.encode_queries(texts, GENERAL),
            lambda texts: embedder.encode_documents(texts, GENERAL),
            negatives=recipe.negatives,
            seed=recipe.seed,
        )
        for source, held_out in zip(data.sources, data.held_out, strict=True)
    ]
    prompts = embedder.model.prompts
    query, document = (str(prompts.get(role) or "") for role in ("query", "document"))
    return (
        [example.with_prompts(query, document) for item in per_source for example in item.examples],
        [item.dev.with_prompts(query, document) for item in per_source if item.dev],
    )


def _drift(embedder: SentenceTransformerEmbedder, dev: Sequence[DevSet], domain: str) -> float:
    texts = [text for item in dev for text in item.documents][:256]
    own = embedder.encode_documents(texts, domain)
    base = embedder.encode_documents(texts, GENERAL)
    return float(1.0 - np.mean(np.sum(own * base, axis=1)))


def experts_of(bundle: Path) -> dict[tuple[str, str], tuple[Weights, ExpertReport]]:
    """Read the experts of a bundle and their reports, by domain and digest of its data.

    Includes experts that did not help; these have no weights.

    :raises EmbedderError: the bundle is missing or damaged.
    """
    weights, about = read_experts(bundle)
    try:
        reports = [report_of(body) for body in about["training"]["experts"]]
    except (KeyError, TypeError) as error:
        raise EmbedderError(
            f"the bundle {bundle} does not record how it was trained: train it again"
        ) from error
    return {
        (report.domain, report.data): (weights.get(report.domain, {}), report) for report in reports
    }


def digest_of(data: DomainData, recipe: Recipe) -> str:
    """Hash everything that a training depends on, except the base model."""
    state = hashlib.sha256(json.dumps(asdict(recipe)).encode())
    for source, held_out in zip(data.sources, data.held_out, strict=True):
        body = (
            source.name,
            source.pairs,
            held_out.pairs,
            sorted(source.corpus.items()),
            sorted((query, sorted(some)) for query, some in source.judged.items()),
        )
        state.update(repr(body).encode())
    return state.hexdigest()[:16]


def _finish(folder: Path, learned: TrainingResult[Point], report: ExpertReport) -> None:
    save_file(learned.weights, folder / f"{_RESULT}.safetensors")
    write_durably(folder / f"{_RESULT}.json", json.dumps(asdict(report)).encode())


def _read_result(folder: Path) -> tuple[Weights, ExpertReport] | None:
    path = folder / f"{_RESULT}.json"
    if not path.is_file():
        return None
    report = report_of(json.loads(path.read_bytes()))
    return load_file(folder / f"{_RESULT}.safetensors"), report


def report_of(body: Mapping[str, Any]) -> ExpertReport:
    """Read a report from its JSON form."""
    points = tuple(Point(**point) for point in body["points"])
    return ExpertReport(**{**body, "points": points, "sources": tuple(body["sources"])})
