"""``expertrag eval answer | record | cost``: run the system on questions, and score it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flags_of, json_flag, with_config
from expertrag.cli.output import SHOWN_FAILURES, emit_json, note, printable
from expertrag.cli.progress import progress
from expertrag.config import TRAINING_FREE, Config, GateConfig
from expertrag_lab.cli.eval.options import (
    MODEL_KEYS,
    datasets_argument,
    end_with_failures,
    limit_option,
    out_option,
    publish,
    questions_option,
    seed_option,
    split_option,
    work_option,
)

flag = flags_of("EVAL")

MAX_TOKENS = 32
"""Default of ``--max-tokens``; a test checks that it equals the default of ``eval.record``."""

COST_LIMIT = 20
"""Questions of each set that ``eval cost`` times: three answers each, a few minutes in all."""

max_tokens_option = flag(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=MAX_TOKENS,
    help="Maximum length of an answer, in tokens.",
)
system_options = with_config("index", "search.k", *MODEL_KEYS)
gated_options = with_config("index", "search.k", "gate.threshold", "gate.bundle", *MODEL_KEYS)


@click.command()
@datasets_argument
@flag("--policies", default="never,always,auto,oracle", help="Comma-separated policies to compare.")
@split_option
@limit_option
@seed_option
@max_tokens_option
@flag(
    "--judge",
    metavar="MODEL",
    help="Language model that also grades the answers, reported separately; a --generator name.",
)
@work_option
@gated_options
@out_option
@json_flag
def answer(
    datasets: tuple[Path, ...],
    policies: str,
    split: str,
    limit: int | None,
    seed: int,
    max_tokens: int,
    judge: str | None,
    work: Path | None,
    config: Config,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score closed-book, open-book and gated answers, and their cost.

    Every question is answered once closed book and once open book; all policies choose between
    these two. Answers are kept in --work: an interrupted run resumes, and a larger --limit adds to
    them.
    """
    from expertrag_lab.eval.answer import answer_report
    from expertrag_lab.eval.judge import judge_answers, open_judge
    from expertrag_lab.eval.manifest import make_manifest
    from expertrag_lab.eval.policies import parse_policies
    from expertrag_lab.eval.questions import questions
    from expertrag_lab.eval.record import Recording, record, rows_path
    from expertrag_lab.eval.serving import model_inputs

    chosen = parse_policies(policies)
    recording = Recording(config.search.k, max_tokens, config.gate.threshold)
    grader = open_judge(judge, config) if judge else None
    row_sets, inputs = [], {}
    with progress() as report:
        for asked in questions(datasets, split, limit, seed, config, work, report):
            rows = record(asked, recording, rows_path(asked, recording), report)
            row_sets.append(rows)
            inputs[rows.name] = asked.describe(row.id for row in rows.rows)
        judged = grader and judge_answers(grader, row_sets, chosen, work, report)
    manifest = make_manifest(
        "answer",
        {
            "policies": chosen,
            "judge": model_inputs(grader) if grader else None,
            "limit": limit,
            "seed": seed,
            "recording": asdict(recording),
            "sets": inputs,
        },
    )
    scored = answer_report(row_sets, chosen, manifest, seed=seed)
    publish({**scored, "judge": judged} if judged else scored, out, as_json)


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@flag(
    "--out",
    env="EXPERTRAG_EVAL_ROWS",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="ROWS",
    help="File of rows (.jsonl); an interrupted run resumes there.",
)
@split_option
@limit_option
@seed_option
@max_tokens_option
@work_option
@system_options
@json_flag
def record(
    dataset: Path,
    out: Path,
    split: str,
    limit: int | None,
    seed: int,
    max_tokens: int,
    work: Path | None,
    config: Config,
    as_json: bool,
) -> None:
    """Record counterfactual rows of the questions of DATASET.

    Each question is answered closed and open book.

    A row holds both answers, their costs, and the gate's decision: `eval gate ROWS` scores it. The
    gate is the training-free one; it records all signals that a fitted gate can use.
    """
    from expertrag_lab.eval.questions import questions
    from expertrag_lab.eval.record import Recording, record

    if out.suffix != ".jsonl":
        raise InvalidArgument(f"out: {out} must end in .jsonl, because rows are appended to it")
    recording = Recording(config.search.k, max_tokens)
    with progress() as report:
        ungated = replace(config, gate=GateConfig(bundle=TRAINING_FREE))
        for asked in questions((dataset,), split, limit, seed, ungated, work, report):
            recorded = record(asked, recording, out, report)
    if as_json:
        emit_json({"rows": str(out), "recorded": len(recorded.rows), "skipped": recorded.skipped})
    else:
        for item in recorded.skipped[:SHOWN_FAILURES]:
            note(printable(f"skipped {item.id}: {item.reason}"))
        click.echo(f"{len(recorded.rows)} rows in {out}, {len(recorded.skipped)} skipped")
    end_with_failures([asdict(item) for item in recorded.skipped])


@click.command()
@datasets_argument
@split_option
@questions_option(COST_LIMIT)
@seed_option
@max_tokens_option
@work_option
@gated_options
@out_option
@json_flag
def cost(
    datasets: tuple[Path, ...],
    split: str,
    limit: int,
    seed: int,
    max_tokens: int,
    work: Path | None,
    config: Config,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare the cost formula with measured times.

    Each question is answered by NEVER, ALWAYS and AUTO in one process. Timings of different runs
    are not comparable, so an interrupted run starts over; its stores are kept.
    """
    from expertrag_lab.eval.cost import cost_report, time_questions
    from expertrag_lab.eval.manifest import make_manifest
    from expertrag_lab.eval.questions import questions
    from expertrag_lab.eval.record import Recording

    recording = Recording(config.search.k, max_tokens, config.gate.threshold)
    timed, skipped, inputs = {}, {}, {}
    with progress() as report:
        for asked in questions(datasets, split, limit, seed, config, work, report):
            name = asked.dataset.name
            timed[name], skipped[name] = time_questions(asked, recording, report)
            inputs[name] = asked.describe(row.id for row in timed[name])
    manifest = make_manifest(
        "cost", {"limit": limit, "seed": seed, "recording": asdict(recording), "sets": inputs}
    )
    publish(cost_report(timed, manifest, skipped, seed=seed), out, as_json)
