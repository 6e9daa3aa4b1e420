"""``expertrag llm verify``: checksums of a packed model, or a changed model next to its origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.cli.options import flags_of, json_flag, with_config
from expertrag.cli.output import note, print_found, printable, size
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.options import not_nan, seed_flag

if TYPE_CHECKING:
    from expertrag_index.types import Progress
    from expertrag_lab.metrics.types import Estimate
    from expertrag_lab.surgery.retrieved_prompts import RetrievedPrompt
    from expertrag_lab.surgery.verification.loss_change import LossChange
    from expertrag_lab.surgery.verification.verify import Verification, VerifySettings

flag = flags_of("VERIFY")

TOLERANCE, MOST_TOKENS, ROUNDS = 0.02, 24, 5
"""Defaults, copied from the comparison, whose import is heavy; a test checks that they agree."""


@click.command()
@click.argument("model")
@click.argument("changed", required=False)
@flag(
    "--rows",
    metavar="ROWS|STORE",
    type=click.Path(path_type=Path),
    help="Held-out prompts: JSON lines with question, passages and answer; or a store, from "
    "whose documents questions are made.",
)
@flag("--limit", type=click.IntRange(min=1), help="Rows at most, drawn with --seed. Unset: all.")
@flag(
    "--tolerance",
    type=click.FloatRange(min=0.0),
    default=TOLERANCE,
    callback=not_nan,
    help="Relative rise of the loss that is accepted; the upper end of its 95 % interval counts.",
)
@flag(
    "--gate",
    metavar="GATE",
    help="Fitted gate that is to decide for CHANGED; one of another model is refused.",
)
@flag("--force", is_flag=True, help="Accept CHANGED whatever is found, and say what was.")
@flag(
    "most_tokens",
    "--max-tokens",
    type=click.IntRange(min=1),
    default=MOST_TOKENS,
    help="Tokens of a greedy answer at most.",
)
@flag(
    "--rounds",
    type=click.IntRange(min=0),
    default=ROUNDS,
    help="Rounds of the measurement of speed; 0: none.",
)
@flag("--dtype", default="auto", help="Data type of both models, as of `serve`.")
@seed_flag("EXPERTRAG_VERIFY_SEED", "Seed of the rows drawn and of the intervals.")
@with_config("search.k", "model.embedder", "model.reranker", "lab.wording")
@json_flag
def verify(
    model: str,
    changed: str | None,
    rows: Path | None,
    limit: int | None,
    tolerance: float,
    gate: str | None,
    force: bool,
    most_tokens: int,
    rounds: int,
    dtype: str,
    seed: int,
    config: Config,
    as_json: bool,
) -> None:
    """Check a packed MODEL by its checksums, or compare CHANGED with the MODEL it was made from.

    With CHANGED, both answer the prompts of --rows as they are served. Compared are the loss on the
    right answers, accuracy, citations, abstention, greedy answers, routers, size and speed. CHANGED
    is refused, with exit code 11, if its loss may rise by more than --tolerance. It is also refused
    if a figure cannot be computed any more, or if --gate was fitted with another model.
    """
    if changed is None:
        if rows is not None or gate is not None:
            raise InvalidArgument(
                "--rows and --gate compare two models: name the changed one, too "
                "(expertrag llm verify MODEL CHANGED --rows ROWS)"
            )
        _check_packed(model, as_json)
        return
    if rows is None:
        raise InvalidArgument(
            "no prompts to compare on: add --rows ROWS (lab/docs/guide/verifying.md)"
        )
    from expertrag_lab.surgery.verification.verify import VerifySettings

    settings = VerifySettings(tolerance, most_tokens, rounds, dtype, seed)
    given = _Given(rows, limit, settings, config)
    verification = _compare((model, changed), given, gate)
    print_found(verification, as_json, _lines(verification))
    for line in verification.notes:
        note(printable(line))
    if verification.problems and not force:
        raise Conflict(
            f"{changed} is refused: {'; '.join(verification.problems)}; --force accepts it",
            reason="CHANGE_REFUSED",
            metadata={"model": changed},
        )
    for problem in verification.problems:
        note(printable(f"accepted by --force: {problem}"))


def _check_packed(model: str, as_json: bool) -> None:
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.llm.load.packing import verify_folder
    from expertrag.llm.registry import load_generator

    folder = models.resolve(model)
    verify_folder(folder)
    with quiet():
        load_generator(folder)  # its weights are mapped, not read again
    print_found({"model": model, "intact": True}, as_json, [f"{model} is intact"])


@dataclass(frozen=True, slots=True)
class _Given:
    """What prompts depend on, and how models are compared on them."""

    rows: Path
    limit: int | None
    settings: VerifySettings
    config: Config

    def prompts(self, report: Progress) -> tuple[RetrievedPrompt, ...]:
        """Read the rows, or ask a store questions about its own documents."""
        from expertrag_lab.eval.stores import default_work
        from expertrag_lab.surgery.retrieved_prompts import read_prompts
        from expertrag_lab.train.store_traffic import make_questions, store_traffic

        if not self.rows.is_dir():
            return read_prompts(self.rows, self.limit, self.settings.seed)
        work = default_work() / "verify"
        asked = make_questions(self.rows, work, self.limit, self.settings.seed, report)
        traffic = store_traffic(self.rows, self.rows.name, asked, self.config, report)
        return tuple(item.prompt for item in traffic if item.known)


def _compare(names: tuple[str, str], given: _Given, gate: str | None) -> Verification:
    from expertrag import models
    from expertrag.llm.load.loading import quiet
    from expertrag.runtime.error_mapping import translate_errors
    from expertrag_lab.surgery.verification.verify import verify as compare
    from expertrag_retriever.gate.bundle import load_gate

    with translate_errors(), quiet(), progress() as report:
        bundle = load_gate(models.gate_folder(gate)) if gate else None
        prompts = given.prompts(report)
        before, after = map(models.resolve, names)
        return compare(before, after, prompts, given.settings, report, bundle)


def _lines(verification: Verification) -> Iterator[str]:
    left = f", {verification.too_long:,} more are too long" if verification.too_long else ""
    tokens = f", {verification.loss.tokens:,} tokens of right answers" if verification.loss else ""
    yield f"{verification.prompts:,} prompts{tokens}{left}"
    yield _row("", "before", "after", "change [95 %]")
    if verification.loss:
        yield _loss("loss, nats a token", verification.loss)
    if len(verification.domains) > 1:
        for domain, loss in verification.domains.items():
            yield _loss(f"  {domain or 'no domain'}", loss)
    for item in verification.figures:
        change = _interval(item.change, "+.3f") if item.change else ""
        yield _row(item.name, _number(item.before), _number(item.after), change)
    yield _row("same answers", "", f"{verification.same_answers.mean:.3f}")
    if verification.routers:
        yield _row("same experts", "", f"{verification.routers.mean:.3f}")
    yield from _sizes(verification)
    for task, speed in verification.speed.items():
        before, after = f"{speed.before.mean:,.0f}", f"{speed.after.mean:,.0f}"
        ratio = f"x{speed.ratio.mean:.2f} [{speed.ratio.low:.2f}, {speed.ratio.high:.2f}]"
        yield _row(f"{task}, tokens/s", before, after, ratio)


def _sizes(verification: Verification) -> Iterator[str]:
    before, after = verification.before, verification.after
    ratio = f"x{after.size_bytes / before.size_bytes:.2f}"
    yield _row("size on disk", size(before.size_bytes), size(after.size_bytes), ratio)
    for name, old, new in (
        ("parameters", before.parameters, after.parameters),
        ("  active per token", before.active_parameters, after.active_parameters),
    ):
        if old is not None and new is not None:
            yield _row(name, f"{old:,.0f}", f"{new:,.0f}", f"x{new / old:.2f}")


def _loss(name: str, loss: LossChange) -> str:
    change = _interval(loss.relative, "+.1%")
    return _row(name, f"{loss.before:.4f}", f"{loss.after:.4f}", change)


def _row(name: str, before: str, after: str, change: str = "") -> str:
    return printable(f"{name:<20} {before:>14} {after:>14}  {change}".rstrip())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(estimate: Estimate, form: str) -> str:
    return f"{estimate.mean:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"
