"""Train a reader on data sets and write its bundle."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from expertrag.api.errors import InvalidArgument
from expertrag.llm import prompt
from expertrag.llm.adapters.bundle import AdapterSettings, Bundle
from expertrag.llm.base import BASE, SHARED
from expertrag.llm.convert.dense import LARGE_TYPES, load_dense, weights_of
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.loading import model_errors
from expertrag.runtime.threads import all_cores
from expertrag_common.durable import write_durably
from expertrag_index.types import Progress
from expertrag_lab.adapter_bundles import save_bundle
from expertrag_lab.adapters import Adapters, adapt
from expertrag_lab.train.reader.examples import ReaderMaterial
from expertrag_lab.train.reader.measure import NOT_ANSWERED, Scores, measure
from expertrag_lab.train.reader.network import ReaderNetwork
from expertrag_lab.train.reader.recipe import ReaderRecipe, parallel
from expertrag_lab.train.reader.report import ReaderReport, ReaderSetReport, card
from expertrag_lab.train.reader.rows import PackedRow, encode, pack, plan
from expertrag_lab.train.reader.trainer import ReaderPoint, ReaderTrainer
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.encoder import number_format
from expertrag_retriever.publish import publish

if TYPE_CHECKING:
    import torch

    from expertrag.llm.convert.dense import Dense

_FEWEST = 32
"""Fewest examples of a domain: with fewer, an expert would only memorize them."""


def recipe_for(source: str, recipe: ReaderRecipe) -> ReaderRecipe:
    """Adapt a recipe to the type of the base model.

    :param source: as for :func:`train_reader`.
    """
    from expertrag.llm.load.source import ModelSource

    with model_errors(source):
        kind = ModelSource(weights_of(source)).config.model_type
    return parallel(recipe) if kind in LARGE_TYPES else recipe


def train_reader(
    materials: Sequence[ReaderMaterial],
    source: str,
    recipe: ReaderRecipe,
    out: Path,
    progress: Progress,
    *,
    command: str,
    start: Bundle | None = None,
) -> ReaderReport:
    """Train the adapters of a dense model and write the bundle ``out`` atomically.

    Intermediate results are in ``OUT.partial``; an interrupted training resumes from there.

    :param source: folder or hub id of the base model, or of a freshly upcycled mixture.
    :param command: command that reproduces the training, for the card.
    :param start: reader to continue from; its ranks, and domains that ``materials`` lack, are kept.
    :raises InvalidArgument: a domain has too few examples, there is no dev question, or the base is
        not a Llama-type model.
    :raises Conflict: ``start`` belongs to another base.
    :raises OutputTakenError: another run for ``out`` is under way.
    """
    started = time.monotonic()
    dense = load_dense(source, dtype=number_format("cpu"), upcycled=not recipe.parallel)
    network, adapters, recipe = _adapt(dense, materials, recipe, start)
    identity = _identity(source, start)
    with work_folder(out) as partial:
        work = partial / _digest(identity, materials, recipe, start)
        before = _before(materials, network, work, progress) if recipe.answered else {}
        rows = _rows(materials, network, recipe)
        trainer = ReaderTrainer(network, adapters, recipe, work, progress)
        weights, points = _train(trainer, rows, adapters, recipe.strength, start)
        after = _measure(materials, network, progress, "after") if recipe.answered else {}
        report = ReaderReport(
            base=dense.name,
            fingerprint=identity,
            start=start.digest if start else "",
            prompts=prompt.fingerprint(),
            recipe=recipe,
            command=command,
            sets=tuple(_set_report(item, before, after) for item in materials),
            points=points,
            steps=len(rows.steps),
            tokens=sum(len(row.tokens) for step in rows.steps for row in step),
            seconds=time.monotonic() - started,
        )
        with publish(out) as scratch:
            text = card(report, dense.license)
            save_bundle(adapters.settings, weights, asdict(report), text, scratch)
    return report


def _adapt(
    dense: Dense, materials: Sequence[ReaderMaterial], recipe: ReaderRecipe, start: Bundle | None
) -> tuple[ReaderNetwork, Adapters, ReaderRecipe]:
    """Insert adapters into the base model; a reader to continue determines the ranks."""
    settings = _settings(materials, recipe, start, dense.model.config.num_hidden_layers)
    recipe = replace(recipe, rank=settings.rank, domain_rank=settings.domain_rank)
    adapters = adapt(dense.model, settings, recipe.seed)
    return ReaderNetwork(dense.model, adapters, ChatTokenizer(dense.tokenizer)), adapters, recipe


def _identity(source: str, start: Bundle | None) -> str:
    """Return the fingerprint of the base model's files, which a reader to continue must share."""
    files = weights_of(source)
    identity = fingerprint(files.folder, files.gguf)
    if start:
        start.check_base(identity)
    return identity


def _settings(
    materials: Sequence[ReaderMaterial], recipe: ReaderRecipe, start: Bundle | None, layers: int
) -> AdapterSettings:
    domains = _domains(materials)
    if {BASE, SHARED} & {*domains}:
        raise InvalidArgument(
            f"data: {BASE!r} and {SHARED!r} are reserved for the experts of no domain; give the "
            "domain another name"
        )
    if start is None:
        first = layers // 2 if recipe.parallel else 0
        return AdapterSettings(domains, recipe.rank, recipe.domain_rank, recipe.parallel, first)
    return replace(
        start.settings, domains=tuple(dict.fromkeys((*start.settings.domains, *domains)))
    )


def _domains(materials: Sequence[ReaderMaterial]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for item in materials:
        counts[item.domain] = counts.get(item.domain, 0) + len(item.examples)
    for domain, examples in counts.items():
        if examples < _FEWEST:
            raise InvalidArgument(
                f"data: {domain} gives {examples} reading examples, but {_FEWEST} are needed: add "
                "questions whose documents contain the answers"
            )
    if not any(item.dev.among for item in materials):
        raise InvalidArgument("data: no question is left for dev; add questions with answers")
    return tuple(counts)


class _Rows(NamedTuple):
    steps: list[list[PackedRow]]
    dev: list[PackedRow]


def _rows(
    materials: Sequence[ReaderMaterial], network: ReaderNetwork, recipe: ReaderRecipe
) -> _Rows:
    """Plan the training steps and the dev rows."""
    examples = [example for item in materials for example in item.examples]
    watched = [
        example
        for item in materials
        for some in (item.dev.among, item.dev.unanswerable)
        for example in some[: recipe.watched]
    ]
    steps = plan(
        encode(examples, network.chat, network.end),
        row_tokens=recipe.row_tokens,
        rows=recipe.rows,
        shared=recipe.shared,
        seed=recipe.seed,
    )
    dev = pack(encode(watched, network.chat, network.end), recipe.row_tokens)
    return _Rows(steps, dev)


def _train(
    trainer: ReaderTrainer, rows: _Rows, adapters: Adapters, strength: float, start: Bundle | None
) -> tuple[dict[str, torch.Tensor], tuple[ReaderPoint, ...]]:
    """Train the adapters; return their weights, which they have in bfloat16 now, and the points."""
    if start:
        fresh = adapters.parameters  # of new domains; adapters of attention are dropped
        adapters.load({name: start.weights.get(name, value) for name, value in fresh.items()})
    with all_cores():
        learned = trainer.train(rows.steps, rows.dev)
    weights = adapters.weaken(learned.weights, strength)
    adapters.load({name: value.bfloat16() for name, value in weights.items()})
    return weights, learned.points


def _digest(
    identity: str, materials: Sequence[ReaderMaterial], recipe: ReaderRecipe, start: Bundle | None
) -> str:
    """Hash everything that a training depends on, so that only the same training is resumed."""
    about = [identity, asdict(recipe), prompt.fingerprint(), start.digest if start else ""]
    state = hashlib.sha256(json.dumps(about).encode())
    for item in materials:
        for example in (*item.examples, *item.dev.among, *item.dev.unanswerable):
            state.update(repr(example).encode())
    return state.hexdigest()[:16]


def _before(
    materials: Sequence[ReaderMaterial], network: ReaderNetwork, work: Path, progress: Progress
) -> dict[str, Scores]:
    """Evaluate the base model once; a resumed training loads the figures."""
    path = work / "before.json"
    if path.is_file():
        return {name: Scores(**body) for name, body in json.loads(path.read_bytes()).items()}
    by_material = _measure(materials, network, progress, "before")
    work.mkdir(parents=True, exist_ok=True)
    body = {name: asdict(scores) for name, scores in by_material.items()}
    write_durably(path, json.dumps(body).encode())
    return by_material


def _measure(
    materials: Sequence[ReaderMaterial], network: ReaderNetwork, progress: Progress, when: str
) -> dict[str, Scores]:
    scores = {}
    for done, item in enumerate(materials):
        progress(f"reader: answering dev questions {when} training", done, len(materials))
        answer = functools.partial(network.answer, domain=item.domain)
        scores[item.name] = measure(item.dev, answer)
    return scores


def _set_report(
    item: ReaderMaterial, before: Mapping[str, Scores], after: Mapping[str, Scores]
) -> ReaderSetReport:
    return ReaderSetReport(
        name=item.name,
        domain=item.domain,
        licence=item.licence,
        sha256=item.sha256,
        examples=len(item.examples),
        abstain=sum(not example.reply.has_answer for example in item.examples),
        dropped=item.dropped,
        before=before.get(item.name, NOT_ANSWERED),
        after=after.get(item.name, NOT_ANSWERED),
    )
