"""``expertrag train probe``: train a classifier of whether the passages hold the answer."""

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
    help="Language model whose hidden states are read: a name as for `serve`, of a model that runs "
    "in this process [default: from the configuration].",
)
@out_folder("EXPERTRAG_TRAIN_OUT", "PROBE")
@profile_option("full reads 3,000 prompts, in half an hour with a 1.5B model on two cores")
@flag(
    "--searches",
    env="EXPERTRAG_TRAIN_SEARCHES",
    multiple=True,
    metavar="[DATASET=]N",
    callback=counts,
    help="Maximum searches per data set, for all sets or the named one; about ten questions are "
    "asked about the results of each search [default: the profile's].",
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
    searches: Mapping[str, int],
    licences: Mapping[str, str],
    seed: int,
    as_json: bool,
) -> None:
    """Train a probe of whether the passages hold the answer.

    It is a logistic regression on hidden states of the language model, which is not changed. Served
    with `serve --probe PROBE`, it decides when to withhold an answer. Questions whose passages lack
    the answer are generated from all data sets; questions marked as unanswerable teach the most. An
    interrupted training resumes with the same command.
    """
    from expertrag import models
    from expertrag.answer.assemble import open_generator
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translated_errors
    from expertrag.train.probe.prompts import probe_sets
    from expertrag.train.probe.recipe import PROFILES
    from expertrag.train.probe.train import shown, train_probe

    recipe = replace(PROFILES[profile], seed=seed)
    if "" in searches:
        recipe = replace(recipe, most_searches=searches[""])
    sets, indexes = given_data(data, stores)
    named = named_data(sets, indexes)
    config = load().config.model
    model = replace(
        config, generator=generator or config.generator, reader=NO_READER, probe=NO_PROBE
    )
    with translated_errors(), quiet(), progress() as report:
        report("probe: loading the language model", 0, None)
        opened = open_generator(model).white_box
        if opened is None:
            raise InvalidArgument(
                "generator: a probe needs the hidden states of a model in this process; name a "
                "folder, a package model, a GGUF file or a hub id"
            )
        sets = with_made(sets, indexes, out, report, words=recipe.words, seed=recipe.seed)
        report("probe: reading data sets", 0, None)
        package = models.REGISTRY.get(opened.name)
        options = [
            f"--generator {Path(opened.name).name}",
            f"--profile {profile}",
            f"--seed {seed}",
        ]
        options += named_options(searches, licences, of="searches")
        made = train_probe(
            probe_sets(sets, recipe, licences, searches),
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
            f"{shown(item.abstains)} -> {shown(item.left_out)} by a probe trained without the "
            f"set; dev {shown(item.dev)}"
        )
    click.echo(f"wrote {out}")
