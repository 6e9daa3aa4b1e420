"""``expertrag train probe``: train a classifier of whether the passages hold the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.progress import progress
from expertrag.config import NO_PROBE, NO_READER, load
from expertrag_lab.cli.output import print_made
from expertrag_lab.cli.training import Training, training

if TYPE_CHECKING:
    from expertrag.llm.base import WhiteBox
    from expertrag_lab.train.probe.train import ProbeReport


@click.command()
@training(
    generator="Language model whose hidden states are read: a name as for `serve`, of a model that "
    "runs in this process [default: from the configuration].",
    out="PROBE",
    full="full reads 3,000 prompts, in half an hour with a 1.5B model on two cores",
    unit="searches",
    what="searches per data set, for all sets or the named one; about ten questions are asked "
    "about the results of each search",
)
def probe(given: Training, as_json: bool) -> None:
    """Train a probe of whether the passages hold the answer.

    It is a logistic regression on hidden states of the language model, which is not changed. Served
    with `serve --probe PROBE`, it decides when to withhold an answer. Questions whose passages lack
    the answer are generated from all data sets; questions marked as unanswerable teach the most. An
    interrupted training resumes with the same command.
    """
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_lab.train.probe.prompts import probe_sets
    from expertrag_lab.train.probe.recipe import PROFILES
    from expertrag_lab.train.probe.train import train_probe

    recipe = replace(PROFILES[given.profile], seed=given.seed)
    if "" in given.most:
        recipe = replace(recipe, most_searches=given.most[""])
    with translate_errors(), quiet(), progress() as report:
        report("probe: loading the language model", 0, None)
        opened = _open(given.generator)
        sets = given.all_sets(report, recipe.words)
        report("probe: reading data sets", 0, None)
        package = models.REGISTRY.get(opened.name)
        named = f"--generator {Path(opened.name).name}"
        options = [named, f"--profile {given.profile}", f"--seed {given.seed}"]
        made = train_probe(
            probe_sets(sets, recipe, given.licences, given.most),
            opened,
            given.out,
            report,
            command=given.command("probe", options, "searches"),
            licence=package.licence if package else "other",
        )
    print_made(made, given.out, as_json, _lines(made))


def _open(generator: str | None) -> WhiteBox:
    """Open the language model itself, without its reader and probe."""
    from expertrag.answer.assemble import open_generator

    config = load().config
    model = config.model
    model = replace(model, generator=generator or model.generator, reader=NO_READER, probe=NO_PROBE)
    opened = open_generator(model, lab=config.lab).white_box
    if opened is None:
        raise InvalidArgument(
            "generator: a probe needs the hidden states of a model in this process; name a "
            "folder, a package model, a GGUF file or a hub id"
        )
    return opened


def _lines(made: ProbeReport) -> Iterator[str]:
    from expertrag_lab.train.probe.train import format_figure

    for item in made.sets:
        yield (
            f"{item.name}  {item.prompts:,} prompts, {item.lacking:,} without the answer  AUROC "
            f"{format_figure(item.abstains)} -> {format_figure(item.left_out)} by a probe trained "
            f"without the set; dev {format_figure(item.dev)}"
        )
