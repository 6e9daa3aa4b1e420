"""``expertrag eval gate``: score a retrieval gate on counterfactual rows."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.cli.options import flag, json_flag, with_config
from expertrag.cli.output import note
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.eval.options import (
    out_option,
    publish,
    rows_argument,
    seed_option,
    work_option,
)


@click.command()
@rows_argument
@flag(
    "--gate",
    "spec",
    env="EXPERTRAG_EVAL_GATE",
    metavar="GATE",
    help="Gate to score: the name of the gate that the rows were recorded with, a folder from "
    "`train gate`, or a JSON-lines file of _id and p_benefit.",
)
@seed_option
@work_option
@with_config("gate.threshold", "model.dtype", "model.device")
@out_option
@json_flag
def gate(
    rows: tuple[Path, ...],
    spec: str | None,
    seed: int,
    work: Path | None,
    config: Config,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score a gate and its baselines on ROWS.

    The baselines are never, always, random and oracle retrieval.

    ROWS are files of counterfactual rows (.jsonl, .jsonl.gz) or folders of them, from `eval record`
    or another source. Each holds a question's answers without and with retrieval. No model runs,
    except those that a fitted gate gets its signals from.
    """
    from expertrag_lab.data.rows import read_row_sets
    from expertrag_lab.eval.gate import evaluate_gate, gate_report
    from expertrag_lab.eval.gates import FittedGate, load_gate
    from expertrag_lab.eval.manifest import make_manifest

    row_sets = read_row_sets(rows)
    with progress() as report:
        loaded = None
        if spec:
            least = config.gate.threshold
            loaded = load_gate(spec, row_sets, least, config=config, work=work, progress=report)
        figures = evaluate_gate(row_sets, loaded, seed=seed, progress=report)
    if loaded is None and config.gate.threshold is not None:
        note("the threshold is not used: name a gate with --gate")
    if isinstance(loaded, FittedGate) and (seen := loaded.name_training_sets(row_sets)):
        note(f"the gate was fitted on {', '.join(seen)}: its figures on them are optimistic")
    manifest = make_manifest(
        "gate",
        {
            "rows": {row_set.name: row_set.sha256 for row_set in row_sets},
            "gate": loaded.inputs if loaded else None,
            "seed": seed,
        },
    )
    publish(gate_report(figures, manifest), out, as_json)
