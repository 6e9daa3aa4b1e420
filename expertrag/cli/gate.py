"""``expertrag gate``: the retrieval gate by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.answering import asking, mode_option, open_client, timeout_argument
from expertrag.cli.eval.options import rows_argument, seed_option, work_option
from expertrag.cli.options import configured, flag, json_flag, out_folder
from expertrag.cli.output import emit_json, print_decision, printable
from expertrag.cli.progress import progress
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag_retriever.gate.bundle import GateBundle

SIGNALS = ("question", "store", "prefill", "draft")
MODELS = (
    "logistic",
    "boosted",
    "mlp",
    "kernel",
    "neighbours",
    "evidential",
    "smoothing",
    "mixture",
)
"""Choices of ``gate fit``; a test holds them equal to the gate's own, whose modules are heavy."""


class _Names(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of choices."""

    name = "list"

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = choices

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in str(value).split(",")))
        for name in names:
            if name not in self._choices:
                self.fail(f"{name!r} is none of {', '.join(self._choices)}", param, ctx)
        return names


@click.group()
def gate() -> None:
    """Explain the retrieval gate's decisions, fit gates of your own, and learn from use."""


@gate.command()
@click.argument("question")
@mode_option
@asking("gate")
def explain(
    question: str,
    mode: str,
    domain: str | None,
    timeout: float | None,
    server: str | None,
    config: Config,
    as_json: bool,
) -> None:
    """Print whether the documents would be consulted for a question, and why."""
    with open_client(server, config) as client:
        decision = client.decide(
            question,
            mode=mode,
            threshold=config.gate.threshold,
            domain=domain,
            **timeout_argument(timeout),
        )
    if as_json:
        emit_json(decision)
        return
    print_decision(decision)
    for name, value in decision.signals.items():
        click.echo(f"  {name} {value:.3f}")


@gate.command()
@rows_argument
@out_folder("EXPERTRAG_GATE_OUT", "FOLDER")
@flag(
    "--signals",
    env="EXPERTRAG_GATE_SIGNALS",
    type=_Names(SIGNALS),
    metavar="NAME,...",
    help=f"Groups of signals that the gate may use, of {', '.join(SIGNALS)}. Unset: question, "
    "store and prefill for rows of `eval record`, question and draft for others. A draft costs the "
    "server a second call of the model.",
)
@flag(
    "--models",
    env="EXPERTRAG_GATE_MODELS",
    type=_Names(MODELS),
    default=",".join(MODELS),
    show_default=True,
    metavar="NAME,...",
    help="Models that are tried.",
)
@flag(
    "--cost",
    env="EXPERTRAG_GATE_COST",
    type=click.FloatRange(0.0, 1.0),
    default=0.02,
    show_default=True,
    help="Accuracy that a retrieval must bring on average; sets the threshold.",
)
@seed_option
@work_option
@configured("model")
@json_flag
def fit(
    rows: tuple[Path, ...],
    out: Path,
    signals: tuple[str, ...] | None,
    models: tuple[str, ...],
    cost: float,
    seed: int,
    work: Path | None,
    config: Config,
    as_json: bool,
) -> None:
    """Fit a gate on ROWS: learn when retrieval turns a wrong answer into a right one.

    ROWS are files of counterfactual rows (.jsonl, .jsonl.gz) or folders of them, made by `eval
    record` or by others. Every model is tried by cross-validation; the best is fitted on all rows,
    calibrated, and written with a card that says what it is worth.
    """
    from expertrag.eval.rows import read_row_sets
    from expertrag.eval.stores import default_work
    from expertrag.gating.fit import default_groups, fit_gate
    from expertrag.gating.source import open_source
    from expertrag_retriever.gate.signals import SignalGroup

    row_sets = read_row_sets(rows)
    groups = tuple(map(SignalGroup, signals)) if signals else default_groups(row_sets)
    source = open_source(groups, config.model, work or default_work())
    with progress() as report:
        fitted = fit_gate(
            row_sets, source, out, models=models, cost=cost, seed=seed, progress=report
        )
    if as_json:
        emit_json({"out": str(out), "threshold": fitted.threshold, "card": fitted.card})
        return
    _print_card(fitted)
    click.echo(f"wrote {out}")


def _print_card(bundle: GateBundle) -> None:
    """Print what a gate is worth."""
    told = bundle.card["figures"]
    for place, item in enumerate(bundle.card["tried"]):
        settings = ", ".join(f"{name} {value}" for name, value in item["settings"].items())
        mark = "*" if not place else " "
        shown = settings if len(settings) < 60 else ""
        click.echo(printable(f"{mark} {item['model']:<11} loss {item['loss']:.4f}  {shown}"))
    click.echo(
        f"rows {told['rows']:,}: never {told['never']:.3f}, always {told['always']:.3f}, oracle "
        f"{told['oracle']:.3f}; gate {told['accuracy']:.3f} at retrieval rate "
        f"{told['retrieval_rate']:.2f}"
    )
    click.echo(
        f"AUC of the benefit {told['auc_benefit']:.3f}, calibration error "
        f"{told['ece_benefit']:.3f}, threshold {bundle.threshold:.3f}"
    )
