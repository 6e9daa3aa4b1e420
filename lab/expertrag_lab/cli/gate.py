"""``expertrag train gate``, ``gate calibrate`` and ``gate refit``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.completers import a_file_or
from expertrag.cli.options import flags_of, json_flag, out_folder, with_config
from expertrag.cli.output import print_found, printable
from expertrag.cli.progress import progress
from expertrag.config import TRAINING_FREE, Config, GateConfig
from expertrag.models import SHIPPED_GATES
from expertrag_lab.cli.eval.options import (
    MODEL_KEYS,
    Names,
    end_with_failures,
    rows_argument,
    seed_option,
    work_option,
)
from expertrag_lab.cli.output import print_made

if TYPE_CHECKING:
    from expertrag_index.types import Progress
    from expertrag_lab.data.types import RowSet
    from expertrag_lab.eval.questions import Asked
    from expertrag_lab.eval.record import Recording
    from expertrag_lab.metrics.types import Comparison
    from expertrag_retriever.gate.bundle import GateBundle

flag = flags_of("FIT")

SIGNALS = ("question", "domain", "store", "prefill", "draft")
MODELS = ("logistic", "kernel", "neighbours", "evidential", "smoothing", "mixture")
COST = 0.02
"""Choices and default of ``train gate``, copied from the gate, whose import is heavy; a test checks
that they agree."""


class FitOptions(TypedDict):
    """Options of a fit that ``fit`` and ``refit`` pass on."""

    models: tuple[str, ...]
    cost: float
    seed: int


models_option = flag(
    "--models",
    type=Names(MODELS),
    default=",".join(MODELS),
    metavar="NAME,...",
    help="Models to try.",
)
cost_option = flag(
    "--cost",
    type=click.FloatRange(0.0, 1.0),
    default=COST,
    help="Average accuracy gain that a retrieval must bring; sets the threshold.",
)
bundle_option = flag(
    "--gate",
    "folder",
    required=True,
    metavar="GATE",
    shell_complete=a_file_or(*SHIPPED_GATES),
    help="Folder from `train gate`, or the name of a shipped gate.",
)


@click.command("gate")
@click.argument("rows", nargs=-1, metavar="[ROWS...]", type=click.Path(path_type=Path))
@out_folder("EXPERTRAG_FIT_OUT", "FOLDER")
@flag(
    "--live",
    multiple=True,
    metavar="DATASET",
    type=click.Path(path_type=Path),
    help="Data set whose questions are answered now, closed and open book, as `eval record` does. "
    "Repeatable. Answers are kept in --work: an interrupted run resumes.",
)
@flag("--split", default="train", help="Split of --live whose questions are used.")
@flag(
    "--limit",
    type=click.IntRange(min=1),
    help="Questions per data set of --live, sampled with --seed. Unset: all.",
)
@flag(
    "--signals",
    type=Names(SIGNALS),
    metavar="NAME,...",
    help=f"Signal groups that the gate may use: {', '.join(SIGNALS)}. Unset: question, store and "
    "prefill for rows from `eval record`, question and draft for other rows. A draft costs the "
    "server a second call of the language model.",
)
@models_option
@flag(
    "--judge/--no-judge",
    default=True,
    help="Also learn from rows of `eval record` which passages hold the answer: STRICT can then "
    "abstain before it calls the language model.",
)
@cost_option
@seed_option
@work_option
@with_config("index", "search.k", *MODEL_KEYS)
@json_flag
def fit(
    rows: tuple[Path, ...],
    out: Path,
    live: tuple[Path, ...],
    split: str,
    limit: int | None,
    signals: tuple[str, ...] | None,
    judge: bool,
    work: Path | None,
    config: Config,
    as_json: bool,
    **options: Unpack[FitOptions],
) -> None:
    """Fit a gate on ROWS.

    It learns when retrieval turns a wrong answer into a right one.

    ROWS are files of counterfactual rows (.jsonl, .jsonl.gz) or folders of them, from `eval record`
    or another source; --live records them on the fly. Models are compared by cross-validation; the
    best one is fitted on all rows, calibrated, and written with a card of its figures.
    """
    from expertrag_lab.data.rows import read_row_sets
    from expertrag_lab.eval.questions import questions
    from expertrag_lab.eval.record import Recording
    from expertrag_lab.eval.stores import default_work
    from expertrag_lab.train.gate.fit import fit_gate
    from expertrag_lab.train.gate.material import default_groups
    from expertrag_lab.train.gate.source import open_source
    from expertrag_retriever.gate.signals import SignalGroup

    if not rows and not live:
        raise InvalidArgument("rows: give files of rows, or a data set with --live")
    row_sets = [*read_row_sets(rows)]
    recording = Recording(config.search.k)
    ungated = replace(config, gate=GateConfig(bundle=TRAINING_FREE))
    with progress() as report:
        recorded: list[RowSet] = []
        if live:
            asked = questions(live, split, limit, options["seed"], ungated, work, report)
            recorded += _record(asked, recording, row_sets, report)
            row_sets += recorded
        groups = tuple(map(SignalGroup, signals)) if signals else default_groups(row_sets)
        store = Path(config.index) if config.index else None
        source = open_source(groups, config.model, work or default_work(), store, lab=config.lab)
        fitted = fit_gate(row_sets, source, out, judge=judge, progress=report, **options)
    _print_fitted(fitted, out, as_json)
    end_with_failures([asdict(item) for some in recorded for item in some.skipped])


def _record(
    asked: Iterable[Asked], recording: Recording, given: Sequence[RowSet], report: Progress
) -> Iterator[RowSet]:
    """Record rows of the questions, whose sets must not be among the ``given`` ones."""
    from expertrag_lab.eval.record import record, rows_path

    taken = {row_set.name for row_set in given}
    for item in asked:
        if item.dataset.name in taken:
            raise InvalidArgument(
                f"live: rows of set {item.dataset.name} are already given; drop one of them"
            )
        taken.add(item.dataset.name)
        yield record(item, recording, rows_path(item, recording), report)


@click.command()
@rows_argument
@bundle_option
@out_folder("EXPERTRAG_FIT_OUT", "FOLDER")
@cost_option
@seed_option
@work_option
@with_config("model.dtype", "model.device")
@json_flag
def calibrate(
    rows: tuple[Path, ...],
    folder: str,
    out: Path,
    cost: float,
    seed: int,
    work: Path | None,
    config: Config,
    as_json: bool,
) -> None:
    """Recalibrate a gate on your own ROWS, without refitting its model.

    Use it for a gate that was fitted on many rows of other data: its ranking of questions transfers
    better than its probabilities.
    """
    from expertrag.models import gate_folder
    from expertrag_lab.data.rows import read_row_sets
    from expertrag_lab.eval.stores import default_work
    from expertrag_lab.train.gate.fit import calibrate_gate
    from expertrag_lab.train.gate.source import source_of
    from expertrag_retriever.gate.bundle import load_gate

    row_sets, bundle = read_row_sets(rows), load_gate(gate_folder(folder))
    source = source_of(bundle, config.model, work or default_work(), lab=config.lab)
    with progress() as report:
        calibrated = calibrate_gate(
            row_sets, bundle, source, out, cost=cost, seed=seed, progress=report
        )
    _print_fitted(calibrated, out, as_json)


@click.command()
@rows_argument
@bundle_option
@flag("--dry-run", is_flag=True, help="Only compare; keep the old gate.")
@models_option
@cost_option
@seed_option
@work_option
@with_config("model.dtype", "model.device")
@json_flag
def refit(
    rows: tuple[Path, ...],
    folder: str,
    dry_run: bool,
    work: Path | None,
    config: Config,
    as_json: bool,
    **options: Unpack[FitOptions],
) -> None:
    """Fit a gate on ROWS, and replace a clearly worse one.

    Both are compared on ROWS: a right answer counts 1, a retrieval costs --cost; the 95 % interval
    of the difference must lie above 0. A running server that uses the folder switches at once.
    """
    from expertrag.models import SHIPPED_GATES
    from expertrag_lab.data.rows import read_row_sets
    from expertrag_lab.eval.stores import default_work
    from expertrag_lab.train.gate.fit import refit_gate
    from expertrag_lab.train.gate.source import source_of
    from expertrag_retriever.gate.bundle import load_gate

    if folder in SHIPPED_GATES:
        raise InvalidArgument(
            f"{folder} is a shipped gate and cannot be replaced; fit your own with `train gate`"
        )
    row_sets = read_row_sets(rows)
    old = load_gate(Path(folder))
    source = source_of(old, config.model, work or default_work(), lab=config.lab)
    with progress() as report:
        new, compared, swapped = refit_gate(
            row_sets, Path(folder), source, dry_run=dry_run, progress=report, **options
        )
    kept = "--dry-run" if dry_run else "the new one is not clearly better"
    outcome = f"{folder} is now {new.version}" if swapped else f"kept the old gate: {kept}"
    lines = (*_card_lines(new), *_comparison_lines(old, new, compared), outcome)
    print_found({"swapped": swapped, "comparison": compared, "card": new.card}, as_json, lines)


def _comparison_lines(old: GateBundle, new: GateBundle, compared: Comparison) -> Iterator[str]:
    yield (
        f"new - old on {compared.n:,} rows: {compared.difference:+.4f} (95 % interval "
        f"{compared.low:+.4f} to {compared.high:+.4f}, p {compared.p_fisher:.3f})"
    )
    if old.sufficiency and not new.sufficiency:
        yield "unlike the old gate, the new one does not judge passages: the rows lack the data"


def _print_fitted(bundle: GateBundle, out: Path, as_json: bool) -> None:
    made = {"out": str(out), "threshold": bundle.threshold, "card": bundle.card}
    print_made(made, out, as_json, _card_lines(bundle))


def _card_lines(bundle: GateBundle) -> Iterator[str]:
    """Yield a gate's figures and, if it was calibrated, the data they were measured on."""
    if "before" in bundle.card:
        yield f"figures are of {bundle.card['figures_are_of']}"
        yield f"before: calibration error {bundle.card['before']['ece_benefit']:.3f}"
    figures = bundle.card["figures"]
    for place, item in enumerate(bundle.card["tried"]):
        settings = ", ".join(f"{name} {value}" for name, value in item["settings"].items())
        mark = "*" if not place else " "
        shown = settings if len(settings) < 60 else ""
        yield printable(f"{mark} {item['model']:<11} loss {item['loss']:.4f}  {shown}")
    yield (
        f"rows {figures['rows']:,}: never {figures['never']:.3f}, always {figures['always']:.3f}, "
        f"oracle {figures['oracle']:.3f}; gate {figures['accuracy']:.3f} at retrieval rate "
        f"{figures['retrieval_rate']:.2f}"
    )
    yield (
        f"AUC of the benefit {figures['auc_benefit']:.3f}, calibration error "
        f"{figures['ece_benefit']:.3f}, threshold {bundle.threshold:.3f}"
    )
