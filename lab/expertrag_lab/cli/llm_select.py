"""``expertrag llm select``: adapters and open rows for the task that a few labelled rows show."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.cli.options import flags_of, json_flag, with_config
from expertrag.cli.output import print_found, printable
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.options import seed_flag

if TYPE_CHECKING:
    from expertrag_lab.surgery.candidates.open_rows import AddedRows
    from expertrag_lab.surgery.candidates.select import (
        CandidateFigures,
        SelectionSettings,
        TaskSelection,
    )

flag = flags_of("SELECT")

CHOOSE, DIVERSITY, MOST_TOKENS, MOST_ALIKE = 3, 0.3, 24, 0.9
"""Defaults, copied from the selection, whose import is heavy; a test checks that they agree."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What was selected: adapters, rows of the open set, or both."""

    adapters: TaskSelection | None
    rows: AddedRows | None


def _parse_folders(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Parse NAME=FOLDER of every option."""
    folders = {}
    for value in values:
        name, _, folder = value.partition("=")
        if not (name and folder):
            raise click.BadParameter(f"{value!r} is not NAME=FOLDER")
        if name in folders:
            raise click.BadParameter(f"{name!r} is named twice; give each its own name")
        folders[name] = Path(folder)
    return folders


@click.command()
@click.argument("model", required=False)
@flag(
    "--labelled",
    required=True,
    metavar="ROWS",
    type=click.Path(path_type=Path),
    help="Labelled rows of the task: JSON lines with question, passages and answer, as for `llm "
    "verify`.",
)
@flag(
    "--k", type=click.IntRange(min=1), help="Labelled rows to use, drawn with --seed. Unset: all."
)
@flag(
    "adapters",
    "--adapter",
    multiple=True,
    metavar="NAME=FOLDER",
    callback=_parse_folders,
    help="An adapter (LoRA) of MODEL that is a candidate, repeatable, as for `serve`. The experts "
    "of a reader that is attached to MODEL are also candidates.",
)
@flag("--choose", type=click.IntRange(min=1), default=CHOOSE, help="Candidates to choose at most.")
@flag(
    "--diversity",
    type=click.FloatRange(0.0, 1.0),
    default=DIVERSITY,
    help="What difference from those already chosen counts besides usefulness: 0 nothing, 1 all.",
)
@flag(
    "most_tokens",
    "--max-tokens",
    type=click.IntRange(min=1),
    default=MOST_TOKENS,
    help="Tokens of a greedy answer at most.",
)
@flag("--dtype", default="auto", help="Data type of MODEL, as of `serve`.")
@flag(
    "source",
    "--open",
    metavar="ROWS",
    type=click.Path(path_type=Path),
    help="Open set, in the same form, of which --add rows are written to --out.",
)
@flag("--add", type=click.IntRange(min=1), help="Rows of the open set to write at most.")
@flag(
    "--alike",
    type=click.FloatRange(-1.0, 1.0),
    default=MOST_ALIKE,
    help="Cosine above which a question of the open set repeats another one, and is left out.",
)
@flag(
    "--out",
    metavar="ROWS",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to create for the rows of the open set; it must not exist.",
)
@seed_flag("EXPERTRAG_SELECT_SEED", "Seed of the rows drawn and of the intervals.")
@with_config("model.embedder")
@json_flag
def select(
    model: str | None,
    labelled: Path,
    k: int | None,
    adapters: dict[str, Path],
    choose: int,
    diversity: float,
    most_tokens: int,
    dtype: str,
    source: Path | None,
    add: int | None,
    alike: float,
    out: Path | None,
    seed: int,
    config: Config,
    as_json: bool,
) -> None:
    """Select the adapters of MODEL that help most with the task of some labelled rows.

    Each candidate answers the rows as it is served. Those that help are chosen by their accuracy
    and the probability of right answers, and by how much their updates differ. The options that
    serve them are printed. An interrupted run resumes with the same command.

    With --open, --add and --out, rows of an open set are chosen whose questions are most like the
    labelled ones, and not like each other. MODEL may be missing then.
    """
    given = _Given(labelled, k, seed)
    wanted = _OpenSet.of(source, add, out, alike)
    if model is None and (wanted is None or adapters):
        raise InvalidArgument(
            "model: name the model that the adapters belong to; or give --open, --add and --out "
            "alone, to choose rows of an open set"
        )
    from expertrag_lab.surgery.candidates.select import SelectionSettings

    settings = SelectionSettings(choose, diversity, most_tokens, dtype, seed)
    selection = _select(model, given, adapters, settings, wanted, config)
    print_found(selection, as_json, _lines(selection, model))


@dataclass(frozen=True, slots=True)
class _Given:
    """The labelled rows, and how many of them are drawn."""

    rows: Path
    most: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class _OpenSet:
    """The open rows, and how many of them are written where."""

    source: Path
    count: int
    out: Path
    most_alike: float

    @classmethod
    def of(
        cls, source: Path | None, count: int | None, out: Path | None, most_alike: float
    ) -> _OpenSet | None:
        """Check that all options are given, or none."""
        if source is None and count is None and out is None:
            return None
        if source is None or count is None or out is None:
            raise InvalidArgument("open: --open ROWS, --add NUMBER and --out ROWS go together")
        if out.exists():
            raise Conflict(f"{out} exists; delete it or choose another name")
        return cls(source, count, out, most_alike)


def _select(
    model: str | None,
    given: _Given,
    adapters: dict[str, Path],
    settings: SelectionSettings,
    wanted: _OpenSet | None,
    config: Config,
) -> Selected:
    from expertrag import models
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag.stores.embedders import open_embedder
    from expertrag_lab.eval.stores import default_work
    from expertrag_lab.surgery.candidates.open_rows import add_rows
    from expertrag_lab.surgery.candidates.select import select as choose
    from expertrag_lab.surgery.retrieved_prompts import read_prompts

    chosen = added = None
    with translate_errors(), progress() as report:
        prompts = read_prompts(given.rows, given.most, given.seed)
        if model is not None:
            work = default_work() / "select"
            chosen = choose(models.resolve(model), prompts, adapters, settings, work, report)
        if wanted is not None:
            embed = open_embedder(config.model, None).encode_queries
            own = wanted.source, wanted.out, wanted.count
            added = add_rows(prompts, *own, embed, report, wanted.most_alike)
    return Selected(chosen, added)


def _lines(selection: Selected, model: str | None) -> Iterator[str]:
    if (chosen := selection.adapters) is not None:
        left = f", {chosen.too_long:,} more are too long" if chosen.too_long else ""
        yield f"{chosen.rows:,} labelled rows{left}"
        yield f"{'':<24} {'accuracy':>8} {'log p':>8}  {'gain [95 %]':<24} {'useful':>6}  alike"
        yield _row("without", chosen.without)
        for item in chosen.candidates:
            yield _row(item.name, item)
        yield from _serving(chosen, str(model))
    if (added := selection.rows) is not None:
        like = (
            ""
            if added.nearest is None
            else f", cosines {added.nearest:.3f} to {added.farthest:.3f}"
        )
        yield f"added    {added.rows:,} of {added.read:,} open rows{like}"
        yield f"wrote {added.file}"


def _row(name: str, item: CandidateFigures) -> str:
    gain = (
        f"{item.gain.mean:+.3f} [{item.gain.low:+.3f}, {item.gain.high:+.3f}]" if item.name else ""
    )
    alike = "" if item.alike is None else f"  {item.alike:.3f} chosen"
    return printable(
        f"{name:<24} {item.accuracy:>8.3f} {item.log_probability:>8.3f}  {gain:<24} "
        f"{item.useful:>6.3f}{alike}"
    )


def _serving(chosen: TaskSelection, model: str) -> Iterator[str]:
    """Tell how those chosen are served."""
    if chosen.serve:
        yield f"serve    expertrag serve --generator {shlex.join([model, *chosen.serve])}"
    if chosen.keep:
        yield f"keep     expertrag llm prune {shlex.join([model, *chosen.keep])} --out MODEL"
    if not chosen.chosen:
        yield "chosen   none: no candidate is more useful than the model without"
