"""``expertrag train``: embedding experts, and pairs to train them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click

from expertrag.cli.options import Command, flags_of, json_flag, out_folder, with_config
from expertrag.cli.output import emit_json, exit_if_skipped, note_failures
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.options import seed_flag
from expertrag_lab.cli.output import print_made

if TYPE_CHECKING:
    from expertrag_lab.data.named_sets import Data
    from expertrag_lab.embedder.card import BundleReport
    from expertrag_lab.embedder.recipe import Recipe
    from expertrag_lab.embedder.student_card import StudentReport

flag = flags_of("TRAIN")

data_option = flag(
    "--data",
    multiple=True,
    required=True,
    metavar="[DOMAIN=]DATASET",
    help="Data set of a domain: BEIR folder or .jsonl[.gz] file of pairs; the domain defaults to "
    "its name. In a folder without a train split, titles and headings are paired with the text "
    "below them.",
)
seed_option = seed_flag(
    "EXPERTRAG_TRAIN_SEED", "Seed of samples, splits, batches and initial weights."
)


def profile_option(
    full: str, small: str = "small finishes in minutes, to check the setup"
) -> Callable[[Command], Command]:
    """Return the profile option; ``full`` and ``small`` describe the costs of the profiles."""
    return flag(
        "--profile", type=click.Choice(["small", "full"]), default="full", help=f"{small}; {full}."
    )


@click.group()
def train() -> None:
    """Train models on your own data."""


@train.command("embedder")
@data_option
@flag(
    "--base",
    default="all-minilm-l6-v2",
    help="Base model of the experts: package model, folder or hub id (sentence-transformers).",
)
@out_folder("EXPERTRAG_TRAIN_OUT", "BUNDLE")
@profile_option("full takes about 15 minutes per domain")
@flag(
    "--pairs",
    type=click.IntRange(min=1),
    help="Maximum pairs per domain, sampled evenly from its data sets [default: the profile's].",
)
@flag(
    "--form",
    type=click.Choice(["low_rank", "full"]),
    default="low_rank",
    help="Low-rank updates of the feed-forward layers, or full copies of them.",
)
@flag(
    "--co-relevant",
    is_flag=True,
    help="Also train on pairs of documents that are judged relevant to the same query.",
)
@flag(
    "--reuse",
    metavar="BUNDLE",
    help="Reuse the experts of a bundle that were trained on the same data with the same options. "
    "To add a domain, give the data of all domains and the bundle that lacks the new one.",
)
@seed_option
@json_flag
def embedder(
    data: tuple[str, ...],
    base: str,
    out: Path,
    profile: str,
    pairs: int | None,
    form: str,
    co_relevant: bool,
    reuse: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train an embedding expert per domain, and their router.

    An expert that does not beat the base model on held-out queries, or harms one of its data sets,
    is dropped. The base model then serves its domain. An interrupted training resumes with the same
    command.
    """
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_lab.data.named_sets import parse_data
    from expertrag_lab.data.pairs import domain_sources
    from expertrag_lab.embedder.base import base_model
    from expertrag_lab.embedder.bundle import train_bundle
    from expertrag_lab.embedder.recipe import PROFILES
    from expertrag_retriever.experts.settings import ExpertForm

    recipe = replace(PROFILES[profile], form=ExpertForm(form), seed=seed)
    if pairs is not None:
        recipe = replace(recipe, most_pairs=pairs)
    sets = parse_data(data)
    if Path(base).is_dir():
        base = str(Path(base).resolve())  # the bundle records it, for any working directory
    domains = domain_sources(sets, co_relevant=co_relevant, seed=seed)
    with translate_errors(), quiet(), progress() as report:
        model = base_model(models.resolve(base), base)
        made = train_bundle(
            domains,
            model.base,
            model.load,
            recipe,
            out,
            report,
            reuse=Path(models.resolve(reuse)) if reuse else None,
            command=_command(sets, base, profile, recipe, co_relevant=co_relevant),
        )
    print_made(made, out, as_json, _bundle_lines(made))


def _command(sets: Data, base: str, profile: str, recipe: Recipe, *, co_relevant: bool) -> str:
    """Return the command that repeats the training, with folder names for paths."""
    parts = [f"--data {name}={path.name}" for name, paths in sets.items() for path in paths]
    parts += [f"--base {Path(base).name if Path(base).is_dir() else base}", f"--profile {profile}"]
    parts += [f"--pairs {recipe.most_pairs}", f"--form {recipe.form}"]
    parts += ["--co-relevant"] * co_relevant
    return " ".join(["expertrag train embedder", *parts, f"--seed {recipe.seed}"])


def _bundle_lines(made: BundleReport) -> Iterator[str]:
    for expert in made.experts:
        verdict = "expert" if expert.helps else "no gain, or harm: served by the base model"
        before, after = (fmean(sets.values()) for sets in (expert.before, expert.after))
        yield (
            f"{expert.domain}  {expert.pairs:,} pairs  dev nDCG@10 {before:.3f} -> {after:.3f}  "
            f"{verdict}"
        )
    if made.router:
        yield f"router  {made.router.accuracy:.1%} of held-out texts"
    else:
        yield (
            "router  none, as there is one domain: label documents with it (their folder, or "
            "'domain'), or the base model serves them"
        )


@train.command()
@data_option
@flag(
    "--base",
    default="all-minilm-l6-v2",
    help="Base model, a BERT encoder with mean pooling: package model or folder.",
)
@out_folder("EXPERTRAG_TRAIN_OUT", "BUNDLE")
@profile_option("full takes hours on two cores")
@flag(
    "--queries",
    type=click.IntRange(min=1),
    help="Maximum queries to train on, of all data sets [default: the profile's].",
)
@seed_option
@json_flag
def reranker(
    data: tuple[str, ...],
    base: str,
    out: Path,
    profile: str,
    queries: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a reranker: a cross-encoder of low-rank updates.

    It learns to put the documents that answer a query before the others that hybrid search finds.
    Fails if nothing is gained on held-out queries. An interrupted training resumes with the same
    command.
    """
    from expertrag.llm.load.loading import quiet
    from expertrag_lab.data.named_sets import parse_data
    from expertrag_lab.reranker.train import RERANK_PROFILES
    from expertrag_lab.train import reranker as training

    recipe = replace(RERANK_PROFILES[profile], seed=seed)
    if queries is not None:
        recipe = replace(recipe, most_groups=queries)
    sets = parse_data(data)
    if Path(base).is_dir():
        base = str(Path(base).resolve())  # the bundle records it, for any working directory
    named = [f"--data {name}={path.name}" for name, paths in sets.items() for path in paths]
    rest = [f"--profile {profile}", f"--queries {recipe.most_groups}", f"--seed {seed}"]
    command = " ".join(["expertrag train reranker", *named, *rest])
    with quiet(), progress() as report:
        made = training.train(sets, base, out, recipe, command, report)
    before, after = made.points[0], made.points[made.best]
    lines = (
        f"{name}  {made.groups[name]:,} queries  dev nDCG@10 {before.dev[name]:.3f} -> "
        f"{after.dev[name]:.3f}"
        for name in before.dev
    )
    print_made(made, out, as_json, lines)


@train.command()
@click.argument("bundle")
@data_option
@out_folder("EXPERTRAG_TRAIN_OUT", "MODEL")
@profile_option("full learns from more texts of every domain", "small finishes in minutes")
@seed_option
@json_flag
def distil(
    bundle: str, data: tuple[str, ...], out: Path, profile: str, seed: int, as_json: bool
) -> None:
    """Distil the experts of BUNDLE into one plain model.

    It has the size of the base.

    The student gives each text nearly the vector of its domain's expert, and loads in any tool that
    loads sentence-transformers models. Its card reports the loss in quality. An interrupted
    training resumes with the same command.
    """
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_lab.data.named_sets import parse_data
    from expertrag_lab.data.pairs import domain_sources
    from expertrag_lab.embedder.base import base_model
    from expertrag_lab.embedder.distil import distil
    from expertrag_lab.embedder.student import PROFILES
    from expertrag_retriever.experts.bundle import base_of

    folder = Path(models.resolve(bundle))
    with translate_errors():
        base = base_of(folder).name
    domains = domain_sources(parse_data(data))
    recipe = replace(PROFILES[profile], seed=seed)
    with translate_errors(), quiet(), progress() as report:
        model = base_model(models.resolve(base), base)
        made = distil(folder, domains, model, recipe, out, report)
    print_made(made, out, as_json, _distil_lines(made))


def _distil_lines(made: StudentReport) -> Iterator[str]:
    for item in made.domains:
        yield (
            f"{item.domain}  dev nDCG@10: base {item.base:.3f}, teacher {item.teacher:.3f}, "
            f"student {item.student:.3f}"
        )
    yield f"cosine to the teacher  {made.cosine:.4f} on held-out texts"


@train.command()
@click.argument("bundle")
@flag("--base", metavar="MODEL", help="Base model, if it has moved since training.")
@out_folder("EXPERTRAG_TRAIN_OUT", "MODEL")
def export(bundle: str, base: str | None, out: Path) -> None:
    """Export BUNDLE and its base as one sentence-transformers model.

    It loads with SentenceTransformer(MODEL, trust_remote_code=True) where this package is
    installed, routes texts by itself, and needs no other folder.
    """
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_retriever.encoder import load_model
    from expertrag_retriever.experts.bundle import attach, base_of
    from expertrag_retriever.fingerprint import fingerprint_of
    from expertrag_retriever.publish import publish

    folder = Path(models.resolve(bundle))
    with translate_errors(), quiet():
        source = models.resolve(base or base_of(folder).name)
        model = load_model(source)
        attach(model, folder, fingerprint_of(source))
        with publish(out) as scratch:
            model.save(str(scratch), create_model_card=False)
    click.echo(f"wrote {out}")


@train.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@flag(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="File of pairs to create, .jsonl.gz or .jsonl.",
)
@flag(
    "--count",
    type=click.IntRange(min=1),
    default=1000,
    help="Passages to sample, one from every document before a second from any.",
)
@flag(
    "--base",
    default="all-minilm-l6-v2",
    help="Embedder that must find a passage by its question: package model, folder or hub id.",
)
@with_config("model.generator", "model.dtype", "model.device")
@seed_option
@json_flag
def questions(
    dataset: Path, out: Path, count: int, base: str, config: Config, seed: int, as_json: bool
) -> None:
    """Generate training pairs from documents.

    A language model writes a question for each passage.

    DATASET is a BEIR folder, or any folder or file of documents. Useless questions are dropped and
    counted; `train embedder --data DOMAIN=FILE` reads the others. An interrupted run resumes with
    the same command. Exits with 3 if some documents cannot be read.
    """
    from expertrag.answer.assemble import open_generator
    from expertrag.stores.embedders import open_embedder
    from expertrag_lab.train.questions.questions import (
        check_out,
        read_documents,
        summary,
        write_questions,
    )

    check_out(out)
    source = read_documents(dataset)
    embedder = open_embedder(replace(config.model, embedder=base), None)
    generator = open_generator(config.model, lab=config.lab)
    with progress() as report:
        made = write_questions(source, out, generator, embedder, report, count=count, seed=seed)
    if as_json:
        emit_json({**asdict(made), "failures": source.failures})
    else:
        note_failures(source.failures)
        click.echo(summary(made))
        click.echo(f"wrote {out}")
    exit_if_skipped(source.failures)
