"""Options of ``train reader`` and ``train probe``, and the data that they name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import Command, flags_of, json_flag, out_folder
from expertrag.cli.output import note
from expertrag.config import AUTO_EMBEDDER, load
from expertrag_lab.cli.train import profile_option, seed_option

if TYPE_CHECKING:
    from expertrag_index.types import Progress

flag = flags_of("TRAIN")


def _by_name(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if not all(sign and text for _, sign, text in pairs):
        raise click.BadParameter("write DATASET=LICENCE, such as 'squad2=CC BY-SA 4.0'")
    return {name.strip(): text.strip() for name, _, text in pairs}


def _counts(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, int]:
    """Parse numbers by the name of a data set; "" means all data sets."""
    counts = {}
    for value in values:
        name, _, number = value.rpartition("=")
        if not number.strip().isdecimal() or int(number) < 1:
            raise click.BadParameter("write a number of at least 1, or DATASET=NUMBER")
        counts[name.strip()] = int(number)
    return counts


data_option = flag(
    "--data",
    multiple=True,
    metavar="[DOMAIN=]DATASET",
    help="Data set of a domain: a BEIR folder whose questions have answers; the domain "
    "defaults to its name. Only its train split is read.",
)
stores_option = flag(
    "stores",
    "--from-index",
    multiple=True,
    metavar="[DOMAIN=]STORE",
    help="Store of a domain without questions: they are generated from the headings, sentences "
    "and examples of its chunks.",
)
licences_option = flag(
    "licences",
    "--licence",
    multiple=True,
    metavar="DATASET=LICENCE",
    callback=_by_name,
    help="Licence of a data set, for the card.",
)


@dataclass(frozen=True, slots=True)
class Training:
    """The options. ``most`` and ``licences`` are by the name of a data set; "" means all.

    ``sets`` and ``stores`` are by domain.
    """

    sets: Mapping[str, tuple[Path, ...]]
    stores: Mapping[str, tuple[Path, ...]]
    generator: str | None
    out: Path
    profile: str
    most: Mapping[str, int]
    licences: Mapping[str, str]
    seed: int

    def command(self, name: str, options: Iterable[str], unit: str) -> str:
        """Return the command that repeats the training, with folder names for paths.

        :param options: the others, as they were given.
        :param unit: name of the option of ``most``.
        """
        named = [
            f"{option} {domain}={path.name}"
            for option, some in (("--data", self.sets), ("--from-index", self.stores))
            for domain, paths in some.items()
            for path in paths
        ]
        limits = [f"--{unit} {data}={n}".replace(" =", " ") for data, n in self.most.items()]
        licences = [f'--licence "{data}={text}"' for data, text in self.licences.items()]
        return " ".join([f"expertrag train {name}", *named, *options, *limits, *licences])

    def all_sets(
        self, report: Progress, words: int, generator: str | None = None
    ) -> dict[str, tuple[Path, ...]]:
        """Return the data sets, with those that are generated from stores.

        :param words: words per passage.
        :param generator: language model that also writes questions.
        """
        sets = dict(self.sets)
        for domain, stores in self.stores.items():
            made = [self._generate(store, report, words, generator) for store in stores]
            sets[domain] = (*sets.get(domain, ()), *made)
        return sets

    def _generate(self, store: Path, report: Progress, words: int, generator: str | None) -> Path:
        """Generate the data set of a store in the work folder, and print its counts."""
        from expertrag.answer.assemble import open_generator
        from expertrag.stores.embedders import open_embedder
        from expertrag_lab.train.reader.made.dataset import Asker, make_dataset
        from expertrag_lab.work_folder import work_folder

        asker = None
        if generator:
            config = load().config
            model = replace(config.model, generator=generator, embedder=AUTO_EMBEDDER)
            asker = Asker(open_generator(model, lab=config.lab), open_embedder(model, store))
        with work_folder(self.out, keep=True) as work:
            folder, made = make_dataset(
                store, work, report, words=words, seed=self.seed, asker=asker
            )
        note(made.summary())
        return folder


def training(
    *own: Callable[[Command], Command], generator: str, out: str, full: str, unit: str, what: str
) -> Callable[[Command], Command]:
    """Add the options to a command, and pass it them as ``given``.

    :param own: options of this command alone.
    :param generator: help of --generator.
    :param out: what --out is called.
    :param full: cost of the full profile.
    :param unit: name of the option for the maximum of ``what`` per data set.
    """
    options = (
        data_option,
        stores_option,
        flag("--generator", metavar="MODEL", help=generator),
        *own,
        out_folder("EXPERTRAG_TRAIN_OUT", out),
        profile_option(full),
        flag(
            "most",
            f"--{unit}",
            multiple=True,
            metavar="[DATASET=]N",
            callback=_counts,
            help=f"Maximum {what} [default: the profile's].",
        ),
        licences_option,
        seed_option,
        json_flag,
    )

    def decorate(command: Command) -> Command:
        wrapped = _collect(command)
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def _collect(command: Command) -> Command:
    @functools.wraps(command)
    def run(data: tuple[str, ...], stores: tuple[str, ...], **rest: Any) -> Any:
        from expertrag_lab.data.named_sets import parse_data

        if not data and not stores:
            raise InvalidArgument("no data given: add --data DATASET, or --from-index STORE")
        names = ("generator", "out", "profile", "most", "licences", "seed")
        given = {name: rest.pop(name) for name in names}
        return command(given=Training(parse_data(data), parse_data(stores), **given), **rest)

    return run
