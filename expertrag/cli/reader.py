"""``expertrag train reader``: the language model learns to answer from passages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import click

from expertrag.cli.options import flag, json_flag, out_folder
from expertrag.cli.output import emit_json
from expertrag.cli.progress import progress
from expertrag.cli.train import profile_option, seed_option


def _by_name(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if not all(sign and text for _, sign, text in pairs):
        raise click.BadParameter("write DATASET=LICENCE, such as 'squad2=CC BY-SA 4.0'")
    return {name.strip(): text.strip() for name, _, text in pairs}


@click.command()
@flag(
    "--data",
    env="EXPERTRAG_TRAIN_DATA",
    multiple=True,
    required=True,
    metavar="[DOMAIN=]DATASET",
    help="Data set of a domain: a BEIR folder whose questions have answers; its name is the domain "
    "unless given. Only its train split is read.",
)
@flag(
    "--base",
    env="EXPERTRAG_TRAIN_BASE",
    default="smollm2-135m-instruct-moe",
    show_default=True,
    help="Llama-type model that is trained: package model, folder or hub id.",
)
@out_folder("EXPERTRAG_TRAIN_OUT", "BUNDLE")
@profile_option("medium takes an hour or two, full some hours", "medium")
@flag(
    "--examples",
    env="EXPERTRAG_TRAIN_EXAMPLES",
    type=click.IntRange(min=1),
    help="Examples of a set at most [default: the profile's].",
)
@flag(
    "licences",
    "--licence",
    env="EXPERTRAG_TRAIN_LICENCE",
    multiple=True,
    metavar="DATASET=LICENCE",
    callback=_by_name,
    help="Licence of a data set, for the card.",
)
@seed_option
@json_flag
def reader(
    data: tuple[str, ...],
    licences: Mapping[str, str],
    base: str,
    out: Path,
    profile: str,
    examples: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a reader: it answers from passages, cites them, and abstains where they hold no answer.

    BUNDLE gets low-rank updates, shared ones and those of each domain's expert; `experts
    merge-adapters` adds them to the base model. A killed training goes on where it was with the
    same command.
    """
    from expertrag import models
    from expertrag.domains.data import parse_data
    from expertrag.generation.loading import quiet
    from expertrag.reader.material import materials
    from expertrag.reader.recipe import PROFILES
    from expertrag.reader.train import train_reader
    from expertrag.translate import translated_errors

    recipe = replace(PROFILES[profile], seed=seed)
    if examples is not None:
        recipe = replace(recipe, most_examples=examples)
    sets = parse_data(data)
    named = [f"--data {name}={path.name}" for name, paths in sets.items() for path in paths]
    known_as = Path(base).name if Path(base).is_dir() else base
    options = [f"--base {known_as}", f"--profile {profile}", f"--seed {seed}"]
    options += [f"--examples {examples}"] if examples else []
    options += [f'--licence "{name}={text}"' for name, text in licences.items()]
    with translated_errors(), quiet(), progress() as report:
        report("reader: reading data sets", 0, None)
        made = train_reader(
            materials(sets, recipe, licences),
            models.resolve(base),
            recipe,
            out,
            report,
            command=" ".join(["expertrag train reader", *named, *options]),
        )
    if as_json:
        emit_json(asdict(made))
        return
    for item in made.sets:
        click.echo(
            f"{item.name}  {item.domain}  {item.examples:,} examples  dev answers "
            f"{_percent(item.before.among)} -> {_percent(item.after.among)}"
        )
    click.echo(f"wrote {out}")


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"
