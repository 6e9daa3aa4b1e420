"""``expertrag train probe``: whether the passages of a prompt hold the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flag, json_flag, out_folder
from expertrag.cli.output import emit_json
from expertrag.cli.progress import progress
from expertrag.cli.reader import (
    counts,
    data_option,
    given_data,
    licences_option,
    named_data,
    named_options,
    stores_option,
    with_made,
)
from expertrag.cli.train import profile_option, seed_option
from expertrag.config import NO_PROBE, NO_READER, load


@click.command()
@data_option
@stores_option
@flag(
    "--generator",
    env="EXPERTRAG_TRAIN_GENERATOR",
    metavar="MODEL",
    help="Language model whose prompts are read: a name as `serve` takes it, of a model that runs "
    "in this process [default: that of the configuration].",
)
@out_folder("EXPERTRAG_TRAIN_OUT", "PROBE")
@profile_option("full reads 3,000 prompts in half an hour, by a model of 1.5B on two cores")
@flag(
    "--sheets",
    env="EXPERTRAG_TRAIN_SHEETS",
    multiple=True,
    metavar="[DATASET=]N",
    callback=counts,
    help="Searches of a set at most, of all sets or of the one that is named; about ten questions "
    "are asked of what each finds [default: the profile's].",
)
@licences_option
@seed_option
@json_flag
def probe(
    data: tuple[str, ...],
    stores: tuple[str, ...],
    generator: str | None,
    out: Path,
    profile: str,
    sheets: Mapping[str, int],
    licences: Mapping[str, str],
    seed: int,
    as_json: bool,
) -> None:
    """Train a probe: the probability that the passages of a prompt hold the answer.

    It is a logistic regression on hidden states of the language model, which stays as it is;
    answers are withheld by it where PROBE is served (`serve --probe PROBE`). Questions whose
    passages lack the answer are made of all data sets; those that are marked as unanswerable teach
    most. A killed training goes on where it was with the same command.
    """
    from expertrag import models
    from expertrag.answer.assemble import open_generator
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translated_errors
    from expertrag.train.probe.prompts import probe_sets
    from expertrag.train.probe.recipe import PROFILES
    from expertrag.train.probe.train import shown, train_probe

    recipe = replace(PROFILES[profile], seed=seed)
    if "" in sheets:
        recipe = replace(recipe, most_sheets=sheets[""])
    sets, indexes = given_data(data, stores)
    named = named_data(sets, indexes)
    config = load().config.model
    model = replace(
        config, generator=generator or config.generator, reader=NO_READER, probe=NO_PROBE
    )
    with translated_errors(), quiet(), progress() as report:
        report("probe: reading the language model", 0, None)
        opened = open_generator(model).white_box
        if opened is None:
            raise InvalidArgument(
                "generator: hidden states are those of a model in this process; name a folder, a "
                "package model, a GGUF file or a hub id"
            )
        sets = with_made(sets, indexes, out, report, words=recipe.words, seed=recipe.seed)
        report("probe: reading data sets", 0, None)
        package = models.REGISTRY.get(opened.name)
        options = [
            f"--generator {Path(opened.name).name}",
            f"--profile {profile}",
            f"--seed {seed}",
        ]
        options += named_options(sheets, licences, of="sheets")
        made = train_probe(
            probe_sets(sets, recipe, licences, sheets),
            opened,
            out,
            report,
            command=" ".join(["expertrag train probe", *named, *options]),
            licence=package.licence if package else "other",
        )
    if as_json:
        emit_json(asdict(made))
        return
    for item in made.sets:
        click.echo(
            f"{item.name}  {item.prompts:,} prompts, {item.lacking:,} without the answer  AUROC "
            f"{shown(item.abstains)} -> {shown(item.left_out)} by a probe that saw none of the "
            f"set; dev {shown(item.dev)}"
        )
    click.echo(f"wrote {out}")
