"""Distillation: trains one plain student model to match all experts of a bundle.

The student has the architecture of the base model. For each text, its vector is trained to match
the teacher's. The teacher's is the vector of the bundle's expert for the text's domain ("One
Student Knows All Experts Know", Xue et al. 2022). Training starts from the mean of the experts'
updates. The result is merged into the weights, so that any tool can load the student without
router, experts or this package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from expertrag_index.types import FloatArray, Progress
from expertrag_lab.embedder.base import BaseModel
from expertrag_lab.embedder.checkpoint import Weights
from expertrag_lab.embedder.data import prepare
from expertrag_lab.embedder.dev import evaluate
from expertrag_lab.embedder.loop import TrainingResult
from expertrag_lab.embedder.merge import mean_update, merge
from expertrag_lab.embedder.mining import Encode, mine
from expertrag_lab.embedder.student import (
    STUDENT,
    Lessons,
    StudentPoint,
    StudentRecipe,
    StudentTrainer,
)
from expertrag_lab.embedder.student_card import DomainFigures, StudentReport, card
from expertrag_lab.embedder.types import DevSet, DomainData, Source
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_model, number_format
from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.bundle import attach
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import GENERAL, ExpertSettings
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.fingerprint import folder_fingerprint
from expertrag_retriever.publish import publish

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from expertrag_retriever.experts.module import ExpertTransformer

_POOL = 1500  # most documents of a set for mining the dev pool


def distil(
    bundle: Path,
    domains: Mapping[str, Sequence[Source]],
    base: BaseModel,
    recipe: StudentRecipe,
    out: Path,
    progress: Progress,
) -> StudentReport:
    """Distil a bundle's experts into a sentence-transformers model, written atomically.

    Intermediate state is kept in ``OUT.partial`` until done: a killed run resumes from it.

    :param domains: data of the experts to distil; the other experts are left out.
    :raises EmbedderError: the folder is not a bundle, is damaged, or belongs to another base.
    :raises TrainingError: a domain has no expert or too little data.
    """
    teacher = _teacher(bundle, base, recipe)
    settings = _experts(teacher)[1]
    _check(bundle, domains, settings)
    data = [
        prepare(domain, sources, most_pairs=recipe.most_pairs, seed=recipe.seed)
        for domain, sources in domains.items()
    ]
    lessons = _lessons(teacher, data, progress)
    student = _student(teacher, base, tuple(domains), recipe)
    with work_folder(out) as work:
        folder = work / _digest(bundle, base, recipe, lessons)
        taught = StudentTrainer(student, recipe, folder, progress).train(lessons)
        with publish(out) as scratch:
            _save(base, taught.weights, scratch)
            figures = _measure(teacher, load_model(str(scratch)), data, recipe, progress)
            report = _report(bundle, base, recipe, len(lessons.texts), taught, figures, scratch)
            (scratch / "README.md").write_text(card(report), encoding="utf-8")
    return report


def _teacher(bundle: Path, base: BaseModel, recipe: StudentRecipe) -> SentenceTransformerEmbedder:
    model = base.load()
    attach(model, bundle, base.base.fingerprint)
    return _embedder(model, recipe)


def _embedder(model: SentenceTransformer, recipe: StudentRecipe) -> SentenceTransformerEmbedder:
    """Wrap a model for inference on this machine, with the sequence length of the training."""
    model.eval()
    model.max_seq_length = min(recipe.max_tokens, model.max_seq_length or recipe.max_tokens)
    model[0].to(number_format(model.device.type))
    return SentenceTransformerEmbedder(STUDENT, model, "")


def _experts(teacher: SentenceTransformerEmbedder) -> tuple[ExpertTransformer, ExpertSettings]:
    module = cast("ExpertTransformer", teacher.model[0])
    assert module.settings is not None, "the bundle must be attached"
    return module, module.settings


def _check(bundle: Path, domains: Mapping[str, Sequence[Source]], settings: ExpertSettings) -> None:
    unknown = ", ".join(sorted(domains.keys() - set(settings.domains)))
    if unknown or not domains:
        wrong = f"has no expert for {unknown}" if unknown else "cannot be distilled without data"
        raise TrainingError(
            f"the bundle {bundle.name} {wrong}: give data of its domains "
            f"({', '.join(settings.domains)}) as DOMAIN=DATASET"
        )


def _lessons(
    teacher: SentenceTransformerEmbedder, data: Sequence[DomainData], progress: Progress
) -> Lessons:
    """Encode the texts of each domain with the domain's expert."""
    texts: list[str] = []
    vectors: list[FloatArray] = []
    for done, domain in enumerate(data):
        progress("teacher: encoding texts", done, len(data))
        queries, documents = _sides(domain)
        for role, encode, some in (
            ("query", teacher.encode_queries, queries),
            ("document", teacher.encode_documents, documents),
        ):
            prompt = str(teacher.model.prompts.get(role) or "")
            texts += [prompt + text for text in some]
            vectors.append(encode(some, domain.domain))
    progress("teacher: encoding texts", len(data), len(data))
    return Lessons(tuple(texts), torch.from_numpy(np.concatenate(vectors)))


def _sides(domain: DomainData) -> tuple[list[str], list[str]]:
    """Return the distinct queries and documents to train on."""
    pairs = [(pair, source.corpus) for source in domain.sources for pair in source.pairs]
    return (
        list(dict.fromkeys(pair.query for pair, _ in pairs)),
        list(dict.fromkeys(corpus[pair.document] for pair, corpus in pairs)),
    )


def _student(
    teacher: SentenceTransformerEmbedder,
    base: BaseModel,
    domains: Sequence[str],
    recipe: StudentRecipe,
) -> SentenceTransformer:
    """Add one float32 expert to the base model: the mean of the teacher's experts."""
    module, settings = _experts(teacher)
    model = base.load()
    model.max_seq_length = teacher.max_tokens
    one = ExpertSettings((STUDENT,), rank=recipe.rank, first_layer=settings.first_layer)
    layers = dict(expert_layers(with_experts(model, one).model))
    chosen = settings.indexes_of(domains)
    for name, layer in expert_layers(module.model):
        down, up = mean_update(layer, chosen, recipe.rank)
        layers[name].first.data = down.unsqueeze(0)
        layers[name].second.data = up.unsqueeze(0)
    return model


def _digest(bundle: Path, base: BaseModel, recipe: StudentRecipe, lessons: Lessons) -> str:
    """Hash everything that the student depends on."""
    state = hashlib.sha256(json.dumps(asdict(recipe)).encode())
    state.update(f"{folder_fingerprint(bundle)}\0{base.base.fingerprint}".encode())
    state.update("\0".join(lessons.texts).encode())
    return state.hexdigest()[:16]


def _save(base: BaseModel, weights: Weights, folder: Path) -> None:
    """Merge the student into a new copy of the base, in the base's own number format."""
    model = load_model(base.source)
    names = [name.removesuffix(".first") for name in weights if name.endswith(".first")]
    merge(
        cast("ExpertTransformer", model[0]).model,
        {name: (weights[f"{name}.first"][0], weights[f"{name}.second"][0]) for name in names},
    )
    model.save(str(folder), create_model_card=False)


def _measure(
    teacher: SentenceTransformerEmbedder,
    student: SentenceTransformer,
    data: Sequence[DomainData],
    recipe: StudentRecipe,
    progress: Progress,
) -> tuple[DomainFigures, ...]:
    """Compare the base, the teacher and the written student on the dev slices."""
    written = _embedder(student, recipe)
    figures = []
    for done, domain in enumerate(data):
        progress("measuring", done, len(data))
        encoders = {
            "base": _sides_of(teacher, GENERAL),
            "teacher": _sides_of(teacher, domain.domain),
            "student": _sides_of(written, ""),
        }
        figures.append(_figures(domain.domain, _dev(domain, teacher, recipe.seed), encoders))
    progress("measuring", len(data), len(data))
    return tuple(figures)


def _sides_of(embedder: SentenceTransformerEmbedder, domain: str) -> tuple[Encode, Encode]:
    """Return the functions that encode queries and documents with one expert."""
    return (
        partial(embedder.encode_queries, domain=domain),
        partial(embedder.encode_documents, domain=domain),
    )


def _dev(data: DomainData, teacher: SentenceTransformerEmbedder, seed: int) -> list[DevSet]:
    """Build the dev sets of a domain, mined from fewer documents than for training experts."""
    queries, documents = _sides_of(teacher, GENERAL)
    dev_sets = [
        mine(
            replace(held_out, pairs=()),
            held_out,
            queries,
            documents,
            most_documents=_POOL,
            seed=seed,
        ).dev
        for held_out in data.held_out
    ]
    return [dev for dev in dev_sets if dev is not None]


def _figures(
    domain: str, dev: Sequence[DevSet], encoders: Mapping[str, tuple[Encode, Encode]]
) -> DomainFigures:
    read = {
        who: [np.concatenate([queries(item.queries), documents(item.documents)]) for item in dev]
        for who, (queries, documents) in encoders.items()
    }
    vectors = {who: np.concatenate(some) for who, some in read.items()}

    def score(who: str) -> float:
        return fmean(_ndcg(item, some) for item, some in zip(dev, read[who], strict=True))

    taught = vectors["teacher"]
    return DomainFigures(
        domain=domain,
        queries=sum(len(item.queries) for item in dev),
        base=score("base"),
        teacher=score("teacher"),
        student=score("student"),
        base_cosine=float(np.mean(np.sum(vectors["base"] * taught, axis=1))),
        cosine=float(np.mean(np.sum(vectors["student"] * taught, axis=1))),
    )


def _ndcg(dev: DevSet, vectors: FloatArray) -> float:
    (value,) = evaluate([dev], lambda _: vectors).values()
    return value


def _report(
    bundle: Path,
    base: BaseModel,
    recipe: StudentRecipe,
    texts: int,
    taught: TrainingResult[StudentPoint],
    figures: tuple[DomainFigures, ...],
    written: Path,
) -> StudentReport:
    return StudentReport(
        bundle=bundle.resolve().name,
        base=base.base,
        recipe=recipe,
        texts=texts,
        seconds=taught.seconds,
        cosine=taught.after.cosine,
        bundle_bytes=_size(bundle),
        student_bytes=_size(written),
        domains=figures,
        points=taught.points,
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
