"""``expertrag train reader``: train a language model to answer from passages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flags_of
from expertrag.cli.progress import progress
from expertrag_lab.cli.output import print_made
from expertrag_lab.cli.training import Training, training

if TYPE_CHECKING:
    from expertrag_lab.train.reader.report import ReaderReport

flag = flags_of("TRAIN")


@click.command()
@training(
    flag(
        "--base",
        default="smollm2-135m-instruct-moe",
        help="Dense Llama-, Mistral- or Qwen-type model to train: package model, folder, GGUF file "
        "or hub id.",
    ),
    flag(
        "--start",
        metavar="BUNDLE",
        help="Reader of the same base to continue training from: smollm2-135m-reader, or a folder; "
        "its other domains are kept [default: none].",
    ),
    generator="Language model that also writes questions about passages of each --from-index, at "
    "most a thousand: a name as for `serve`; each question costs one reply [default: none].",
    out="BUNDLE",
    full="full reads 20,000 tokens a minute on two cores, 5,000 with a 1.5B base",
    unit="examples",
    what="examples per data set, for all sets or the named one",
)
def reader(given: Training, base: str, start: str | None, as_json: bool) -> None:
    """Train a reader: it answers from passages, or abstains.

    BUNDLE holds low-rank updates: shared ones, and the updates of each domain's expert. `llm
    attach` makes a model of it and its base, which still answers prompts without passages. For a
    Qwen2- or Qwen3-type base, BUNDLE holds parallel adapters instead, which `serve --reader BUNDLE`
    runs with the base. An interrupted training resumes with the same command, and reuses the
    questions generated from a store.
    """
    from expertrag import models
    from expertrag.llm.adapters.bundle import load_bundle
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_lab.train.reader.material import materials
    from expertrag_lab.train.reader.recipe import PROFILES
    from expertrag_lab.train.reader.train import recipe_for, train_reader

    recipe = replace(PROFILES[given.profile], seed=given.seed)
    if "" in given.most:
        recipe = replace(recipe, most_examples=given.most[""])
    if given.generator and not given.stores:
        raise InvalidArgument(
            "generator: writes questions about the passages of a store; add --from-index STORE"
        )
    begun = load_bundle(models.reader_folder(start)) if start else None
    command = given.command("reader", _options(given, base, start), "examples")
    with translate_errors(), quiet(), progress() as report:
        report("reader: loading the base model", 0, None)
        source = models.resolve(base)
        recipe = recipe_for(source, recipe)
        sets = given.all_sets(report, recipe.words, given.generator)
        report("reader: reading data sets", 0, None)
        data = materials(sets, recipe, given.licences, given.most)
        made = train_reader(data, source, recipe, given.out, report, command=command, start=begun)
    print_made(made, given.out, as_json, _lines(made))


def _options(given: Training, base: str, start: str | None) -> Iterator[str]:
    """Yield the options that the training depends on, with folder names for paths."""
    if given.generator:
        yield f"--generator {_name_of(given.generator)}"
    yield from (f"--base {_name_of(base)}", f"--profile {given.profile}", f"--seed {given.seed}")
    if start:
        yield f"--start {Path(start).name}"


def _name_of(model: str) -> str:
    path = Path(model)
    return path.name if path.exists() else model


def _lines(made: ReaderReport) -> Iterator[str]:
    for item in made.sets:
        yield (
            f"{item.name}  {item.domain}  {item.examples:,} examples  dev answers "
            f"{_percent(item.before.among)} -> {_percent(item.after.among)}"
        )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"
