"""``expertrag train``: domain experts for the embedder."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import click

from expertrag.cli.options import flag, json_flag
from expertrag.cli.output import emit_json
from expertrag.cli.progress import progress
from expertrag.errors import Conflict

data_option = flag(
    "--data",
    env="EXPERTRAG_TRAIN_DATA",
    multiple=True,
    required=True,
    metavar="[DOMAIN=]DATASET",
    help="Data set of a domain: a BEIR folder, or a .jsonl[.gz] file of pairs; its name is the "
    "domain unless given. In a folder without a train split, titles and headings are paired with "
    "what stands below them.",
)
seed_option = flag(
    "--seed",
    env="EXPERTRAG_TRAIN_SEED",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of splits, batches and first weights.",
)


@click.group()
def train() -> None:
    """Train models on your own data."""


@train.command()
@data_option
@flag(
    "--base",
    env="EXPERTRAG_TRAIN_BASE",
    default="all-minilm-l6-v2",
    show_default=True,
    help="Model that gets experts: package model, folder or hub id (sentence-transformers).",
)
@flag(
    "--out",
    env="EXPERTRAG_TRAIN_OUT",
    type=click.Path(path_type=Path),
    required=True,
    metavar="BUNDLE",
    help="Folder to make.",
)
@flag(
    "--profile",
    env="EXPERTRAG_TRAIN_PROFILE",
    type=click.Choice(["small", "full"]),
    default="full",
    show_default=True,
    help="small ends in minutes and shows that all works; full takes about 15 minutes a domain.",
)
@flag(
    "--pairs",
    env="EXPERTRAG_TRAIN_PAIRS",
    type=click.IntRange(min=1),
    help="Pairs of a domain at most, drawn evenly from its sets [default: the profile's].",
)
@flag(
    "--form",
    env="EXPERTRAG_TRAIN_FORM",
    type=click.Choice(["low_rank", "full"]),
    default="low_rank",
    show_default=True,
    help="Low-rank updates of the feed-forward layers, or whole copies of them.",
)
@seed_option
@json_flag
def experts(
    data: tuple[str, ...],
    base: str,
    out: Path,
    profile: str,
    pairs: int | None,
    form: str,
    seed: int,
    as_json: bool,
) -> None:
    """Train one embedding expert for each domain, and the router that chooses among them.

    An expert that does not beat the base model on queries kept from training is left out, and its
    domain stays with the base. A killed training goes on where it was with the same command.
    """
    from expertrag import models
    from expertrag.domains.data import parse_data
    from expertrag.domains.pairs import domain_sources
    from expertrag.generation.loading import quiet
    from expertrag.translate import translated_errors
    from expertrag_retriever.experts.settings import ExpertForm
    from expertrag_retriever.training.base import base_model
    from expertrag_retriever.training.bundle import train_bundle
    from expertrag_retriever.training.recipe import PROFILES

    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    recipe = replace(PROFILES[profile], form=ExpertForm(form), seed=seed)
    if pairs is not None:
        recipe = replace(recipe, most_pairs=pairs)
    domains = domain_sources(parse_data(data))
    with translated_errors(), quiet(), progress() as report:
        model = base_model(models.resolve(base), base)
        made = train_bundle(domains, model.base, model.load, recipe, out, report)
    if as_json:
        emit_json(asdict(made))
        return
    for expert in made.experts:
        verdict = "expert" if expert.helps else "no gain: left to the base model"
        before, after = (fmean(sets.values()) for sets in (expert.before, expert.after))
        click.echo(
            f"{expert.domain}  {expert.pairs:,} pairs  dev nDCG@10 {before:.3f} -> {after:.3f}  "
            f"{verdict}"
        )
    if made.router:
        click.echo(f"router  {made.router.accuracy:.1%} of held-out texts")
    click.echo(f"wrote {out}")


@train.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@data_option
@flag(
    "--out",
    env="EXPERTRAG_TRAIN_OUT",
    type=click.Path(path_type=Path),
    required=True,
    metavar="MODEL",
    help="Folder to make.",
)
@flag(
    "--profile",
    env="EXPERTRAG_TRAIN_PROFILE",
    type=click.Choice(["small", "full"]),
    default="full",
    show_default=True,
    help="small ends in minutes; full learns from more texts of every domain.",
)
@seed_option
@json_flag
def distil(
    bundle: Path, data: tuple[str, ...], out: Path, profile: str, seed: int, as_json: bool
) -> None:
    """Distil the experts of BUNDLE into one plain model of the size of its base.

    The student gives each text nearly the vector of its domain's expert, and loads in any tool that
    loads sentence-transformers models. Its card says what was lost. A killed training goes on where
    it was with the same command.
    """
    from expertrag import models
    from expertrag.domains.data import parse_data
    from expertrag.domains.pairs import domain_sources
    from expertrag.generation.loading import quiet
    from expertrag.translate import translated_errors
    from expertrag_retriever.experts.bundle import base_of
    from expertrag_retriever.training.base import base_model
    from expertrag_retriever.training.distil import distil
    from expertrag_retriever.training.student import PROFILES

    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    with translated_errors():
        base = base_of(bundle).name
    domains = domain_sources(parse_data(data))
    recipe = replace(PROFILES[profile], seed=seed)
    with translated_errors(), quiet(), progress() as report:
        model = base_model(models.resolve(base), base)
        made = distil(bundle, domains, model, recipe, out, report)
    if as_json:
        emit_json(asdict(made))
        return
    for item in made.domains:
        click.echo(
            f"{item.domain}  dev nDCG@10: base {item.base:.3f}, teacher {item.teacher:.3f}, "
            f"student {item.student:.3f}"
        )
    click.echo(f"cosine to the teacher  {made.cosine:.4f} on held-out texts")
    click.echo(f"wrote {out}")
