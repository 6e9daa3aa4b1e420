"""``expertrag eval consistency``: stability under rewording of the question."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.cli.options import flags_of, json_flag
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.eval.answer import gated_options, max_tokens_option
from expertrag_lab.cli.eval.options import (
    datasets_argument,
    out_option,
    publish,
    questions_option,
    seed_option,
    split_option,
    work_option,
)

flag = flags_of("EVAL")

LIMIT = 50
"""Questions of each set: about eight answers each, some ten minutes on two cores."""


@click.command()
@datasets_argument
@split_option
@questions_option(LIMIT)
@flag(
    "--variants",
    type=click.IntRange(min=2),
    help="Maximum wordings per question, including the original. Unset: all.",
)
@flag(
    "--answers/--no-answers",
    default=True,
    help="Answer each wording, or only run the gate, which is much faster.",
)
@flag(
    "--rewrites/--no-rewrites",
    default=True,
    help="Also ask mechanical rewrites, or only the paraphrases of the data set.",
)
@seed_option
@max_tokens_option
@work_option
@gated_options
@out_option
@json_flag
def consistency(
    datasets: tuple[Path, ...],
    split: str,
    limit: int,
    variants: int | None,
    answers: bool,
    rewrites: bool,
    seed: int,
    max_tokens: int,
    work: Path | None,
    config: Config,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure whether rewording a question changes the answer.

    Wordings are the paraphrases of the data set (metadata.paraphrases of a query) and mechanical
    rewrites. A rewrite is such as lower case, no question mark or a polite opening. Answers that
    differ are counted by the first step that made them differ: decision, expert, passages, or the
    prompt's words alone. Replies are kept in --work: an interrupted run resumes, and a larger
    --limit adds to them.
    """
    from expertrag_lab.eval.consistency import consistency_report
    from expertrag_lab.eval.manifest import make_manifest
    from expertrag_lab.eval.questions import questions
    from expertrag_lab.eval.record import Recording
    from expertrag_lab.eval.replies import Asking, ask_wordings

    recording = Recording(config.search.k, max_tokens, config.gate.threshold)
    asking = Asking(recording, variants, answers, rewrites)
    replies, skipped, inputs = {}, {}, {}
    with progress() as report:
        for asked in questions(datasets, split, limit, seed, config, work, report):
            name = asked.dataset.name
            replies[name], skipped[name] = ask_wordings(asked, asking, report)
            inputs[name] = asked.describe(question.id for question in replies[name])
    manifest = make_manifest(
        "consistency", {"limit": limit, "seed": seed, "asking": asking.inputs, "sets": inputs}
    )
    publish(consistency_report(replies, manifest, skipped, seed=seed), out, as_json)
