"""``expertrag train reader``: train a language model to answer from passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flag, json_flag, out_folder
from expertrag.cli.output import emit_json, note
from expertrag.cli.progress import progress
from expertrag.cli.train import profile_option, seed_option
from expertrag.config import AUTO_EMBEDDER, load

if TYPE_CHECKING:
    from expertrag.data.named_sets import Data
    from expertrag_index.types import Progress

Given = dict[str, tuple[Path, ...]]
"""Data sets or stores by domain."""


def _by_name(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if not all(sign and text for _, sign, text in pairs):
        raise click.BadParameter("write DATASET=LICENCE, such as 'squad2=CC BY-SA 4.0'")
    return {name.strip(): text.strip() for name, _, text in pairs}


def counts(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, int]:
    """Parse numbers by the name of a data set; "" means all data sets."""
    found = {}
    for value in values:
        name, _, number = value.rpartition("=")
        if not number.strip().isdecimal() or int(number) < 1:
            raise click.BadParameter("write a number of at least 1, or DATASET=NUMBER")
        found[name.strip()] = int(number)
    return found


data_option = flag(
    "--data",
    env="EXPERTRAG_TRAIN_DATA",
    multiple=True,
    metavar="[DOMAIN=]DATASET",
    help="Data set of a domain: a BEIR folder whose questions have answers; the domain defaults to "
    "its name. Only its train split is read.",
)
stores_option = flag(
    "stores",
    "--from-index",
    env="EXPERTRAG_TRAIN_FROM_INDEX",
    multiple=True,
    metavar="[DOMAIN=]STORE",
    help="Store of a domain without questions: they are generated from its chunks, by headings, "
    "sentences, examples, and pairs of documents.",
)
licences_option = flag(
    "licences",
    "--licence",
    env="EXPERTRAG_TRAIN_LICENCE",
    multiple=True,
    metavar="DATASET=LICENCE",
    callback=_by_name,
    help="Licence of a data set, for the card.",
)


@click.command()
@data_option
@stores_option
@flag(
    "--generator",
    env="EXPERTRAG_TRAIN_GENERATOR",
    metavar="MODEL",
    help="Language model that also writes questions about passages of each --from-index, at most a "
    "thousand: a name as for `serve`; each question costs one reply [default: none].",
)
@flag(
    "--base",
    env="EXPERTRAG_TRAIN_BASE",
    default="smollm2-135m-instruct-moe",
    show_default=True,
    help="Dense Llama-, Mistral- or Qwen-type model to train: package model, folder, GGUF file or "
    "hub id.",
)
@flag(
    "--start",
    env="EXPERTRAG_TRAIN_START",
    metavar="BUNDLE",
    help="Reader of the same base to continue training from: smollm2-135m-reader, or a folder; "
    "its other domains are kept [default: none].",
)
@out_folder("EXPERTRAG_TRAIN_OUT", "BUNDLE")
@profile_option("full reads 20,000 tokens a minute on two cores, 5,000 with a 1.5B base")
@flag(
    "--examples",
    env="EXPERTRAG_TRAIN_EXAMPLES",
    multiple=True,
    metavar="[DATASET=]N",
    callback=counts,
    help="Maximum examples per data set, for all sets or the named one [default: the profile's].",
)
@licences_option
@seed_option
@json_flag
def reader(
    data: tuple[str, ...],
    stores: tuple[str, ...],
    generator: str | None,
    licences: Mapping[str, str],
    base: str,
    start: str | None,
    out: Path,
    profile: str,
    examples: Mapping[str, int],
    seed: int,
    as_json: bool,
) -> None:
    """Train a reader: it answers from passages, or abstains.

    BUNDLE holds low-rank updates: shared ones, and those of each domain's expert. `llm
    merge` merges them into the base model, which still answers prompts without passages.
    For a Qwen2- or Qwen3-type base, BUNDLE holds parallel adapters instead, which `serve --reader
    BUNDLE` runs with the base. An interrupted training resumes with the same command, and reuses
    the questions generated from a store.
    """
    from expertrag import models
    from expertrag.llm.adapters.bundle import load_bundle
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translated_errors
    from expertrag.train.reader.material import materials
    from expertrag.train.reader.recipe import PROFILES
    from expertrag.train.reader.train import recipe_for, train_reader

    recipe = replace(PROFILES[profile], seed=seed)
    if "" in examples:
        recipe = replace(recipe, most_examples=examples[""])
    sets, indexes = given_data(data, stores)
    if generator and not indexes:
        raise InvalidArgument(
            "generator: writes questions about the passages of a store; add --from-index STORE"
        )
    named = named_data(sets, indexes)
    if generator:
        local = Path(generator)
        named.append(f"--generator {local.name if local.exists() else generator}")
    known_as = Path(base).name if Path(base).exists() else base
    options = [f"--base {known_as}", f"--profile {profile}", f"--seed {seed}"]
    begun = load_bundle(models.reader_folder(start)) if start else None
    options += [f"--start {Path(start).name}"] if start else []
    options += named_options(examples, licences)
    with translated_errors(), quiet(), progress() as report:
        report("reader: loading the base model", 0, None)
        source = models.resolve(base)
        recipe = recipe_for(source, recipe)
        sets = with_made(
            sets, indexes, out, report, words=recipe.words, seed=recipe.seed, generator=generator
        )
        report("reader: reading data sets", 0, None)
        made = train_reader(
            materials(sets, recipe, licences, examples),
            source,
            recipe,
            out,
            report,
            command=" ".join(["expertrag train reader", *named, *options]),
            start=begun,
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


def given_data(data: Sequence[str], stores: Sequence[str]) -> tuple[Given, Given]:
    """Parse --data and --from-index into paths by domain.

    :raises InvalidArgument: if both are empty.
    """
    from expertrag.data.named_sets import parse_data

    if not data and not stores:
        raise InvalidArgument("no data given: add --data DATASET, or --from-index STORE")
    return parse_data(data), parse_data(stores)


def named_data(sets: Data, indexes: Data) -> list[str]:
    """Return --data and --from-index as they were given, with folder names for paths."""
    return [
        f"{option} {name}={path.name}"
        for option, some in (("--data", sets), ("--from-index", indexes))
        for name, paths in some.items()
        for path in paths
    ]


def named_options(
    numbers: Mapping[str, int], licences: Mapping[str, str], *, of: str = "examples"
) -> list[str]:
    """Return --examples (or the option ``of``) and --licence as they were given."""
    options = [f"--{of} {name}={n}".replace(" =", " ") for name, n in numbers.items()]
    return options + [f'--licence "{name}={text}"' for name, text in licences.items()]


def with_made(
    sets: Data,
    indexes: Data,
    out: Path,
    report: Progress,
    *,
    words: int,
    seed: int,
    generator: str | None = None,
) -> Given:
    """Add the data sets generated from stores to those of their domains."""
    found: Given = {domain: tuple(paths) for domain, paths in sets.items()}
    for domain, stores in indexes.items():
        made = [_made_of(store, out, report, words, seed, generator) for store in stores]
        found[domain] = (*found.get(domain, ()), *made)
    return found


def _made_of(
    store: Path, out: Path, report: Progress, words: int, seed: int, generator: str | None
) -> Path:
    """Generate the data set of a store in the training's work folder, and print its counts."""
    from expertrag.answer.assemble import open_embedder, open_generator
    from expertrag.train.reader.made.dataset import Asker, make_dataset
    from expertrag_retriever.publish import work_folder

    asker = None
    if generator:
        model = replace(load().config.model, generator=generator, embedder=AUTO_EMBEDDER)
        asker = Asker(open_generator(model), open_embedder(model, store))
    with work_folder(out, keep=True) as work:
        folder, made = make_dataset(store, work, report, words=words, seed=seed, asker=asker)
    note(made.summary())
    return folder


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"
