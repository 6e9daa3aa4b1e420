"""Compare a model with the one that it was made from, on held-out retrieved prompts.

Both are run as they are served. A change is refused if the loss on right answers may rise by more
than a tolerance. The upper end of its 95 % interval counts, so too few prompts refuse as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expertrag.llm.base import Generator
from expertrag.llm.registry import load_generator
from expertrag_index.types import Progress
from expertrag_lab.metrics.types import Estimate
from expertrag_lab.surgery.retrieved_prompts import PromptForm, RetrievedPrompt
from expertrag_lab.surgery.verification.answer_figures import (
    FigureChange,
    answer_figures,
    losses,
    same_replies,
)
from expertrag_lab.surgery.verification.engine_speed import SpeedChange, speed_change
from expertrag_lab.surgery.verification.held_answers import HeldAnswer, answer_held_out, fitting
from expertrag_lab.surgery.verification.intact import (
    CheckedModel,
    check_model,
    check_same_tokenizers,
)
from expertrag_lab.surgery.verification.loss_change import LossChange
from expertrag_lab.surgery.verification.router_comparison import RouterAgreement, router_agreement
from expertrag_retriever.gate.binding import gate_problem
from expertrag_retriever.gate.bundle import GateBundle

TOLERANCE = 0.02
_NOT_FINITE = "the loss of the changed model is not a number"


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """How models are compared.

    :param tolerance: relative rise of the loss that is accepted.
    :param most_tokens: of a greedy reply.
    :param rounds: of the measurement of speed; 0: none.
    """

    tolerance: float = TOLERANCE
    most_tokens: int = 24
    rounds: int = 5
    dtype: str = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model: bytes of its weights on disk, and weights in all and as one token uses them.

    Weights are counted where our engine runs the model, else None.
    """

    name: str
    fingerprint: str
    size_bytes: int
    parameters: float | None
    active_parameters: float | None


@dataclass(frozen=True, slots=True)
class Verification:
    """What two models have in common on the same prompts.

    :param prompts: that both models read whole; ``too_long``: those left out.
    :param loss: on right replies; None if no prompt has one. ``domains``: the same by domain.
    :param same_answers: share of prompts with the same greedy reply.
    :param speed: tokens a second by task; empty if our engine does not run both.
    :param notes: what could not be compared, and why.
    :param problems: why the change is refused; empty if it is not.
    """

    before: ModelFacts
    after: ModelFacts
    prompts: int
    too_long: int
    loss: LossChange | None
    domains: Mapping[str, LossChange]
    figures: tuple[FigureChange, ...]
    same_answers: Estimate
    routers: RouterAgreement | None
    speed: Mapping[str, SpeedChange]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def verify(
    before: str,
    after: str,
    prompts: Sequence[RetrievedPrompt],
    settings: VerifySettings,
    report: Progress,
    gate: GateBundle | None = None,
) -> Verification:
    """Compare a changed model with the one before.

    :param before: as in :func:`expertrag.llm.load_generator`; so ``after``. Both are in memory at
        once.
    :param gate: a fitted gate that is to decide for the changed model.
    :raises NotFound: there is no such model.
    :raises ServerError: the files of one are damaged: weights are missing, or no numbers.
    :raises InvalidArgument: their tokenizers differ, or no prompt fits into the context of both.
    """
    checked = check_model(before), check_model(after)
    check_same_tokenizers(*checked)
    first, second = (load_generator(name, dtype=settings.dtype) for name in (before, after))
    sides = first, second
    form = PromptForm.of(sides[0])
    shown = fitting(sides, prompts, form, settings.most_tokens)
    old, new = (answer_held_out(side, shown, form, settings.most_tokens, report) for side in sides)
    messages = [form.messages(prompt) for prompt in shown]
    speed = speed_change(first, second, messages, settings.rounds, report)
    facts = _facts(first, checked[0]), _facts(second, checked[1])
    notes = [*_notes(sides, form), *_size_notes(checked)]
    del first, second, sides  # before transformers loads both again
    routers, why = router_agreement(before, after, shown, form, report)
    notes += [why] if why else []
    finite = _finite(new)
    loss, domains = losses(shown, old, new, settings.seed) if finite else (None, {})
    figures = answer_figures(shown, old, new, settings.seed)
    problems = _problems(loss, figures, settings.tolerance) if finite else [_NOT_FINITE]
    problems += [gate_problem(gate, after, facts[1].fingerprint)] if gate else []
    return Verification(
        *facts,
        prompts=len(shown),
        too_long=len(prompts) - len(shown),
        loss=loss,
        domains=domains,
        figures=figures,
        same_answers=same_replies(old, new, settings.seed),
        routers=routers,
        speed=speed,
        notes=tuple(notes),
        problems=tuple(filter(None, problems)),
    )


def _facts(generator: Generator, checked: CheckedModel) -> ModelFacts:
    use = generator.weights()
    return ModelFacts(
        generator.name,
        generator.fingerprint,
        checked.size_bytes,
        use.total.parameters if use else None,
        use.active().parameters if use else None,
    )


def _notes(sides: Sequence[Generator], form: PromptForm) -> list[str]:
    notes = [
        f"our engine does not run {side.name}: speed and weights are not compared"
        for side in sides
        if side.weights() is None
    ]
    if PromptForm.of(sides[1]) != form:
        notes.append(
            f"{sides[1].name} is served with prompts of another form than {sides[0].name}; both "
            "were compared with the latter's prompts"
        )
    return notes


def _size_notes(models: Sequence[CheckedModel]) -> list[str]:
    return [
        f"{model.files.name} has plain experts on disk next to its low-rank ones, for "
        "transformers; `expertrag llm pack` leaves them out"
        for model in models
        if model.has_products
    ]


def _finite(answers: Sequence[HeldAnswer]) -> bool:
    return all(item.loss is None or math.isfinite(item.loss) for item in answers)


def _problems(
    loss: LossChange | None, figures: Sequence[FigureChange], tolerance: float
) -> list[str]:
    """Return why the replies of a changed model refuse it."""
    if loss is None:
        return ["no prompt has a right answer, so there is no loss to compare"]
    problems = []
    rise = loss.relative
    if not rise.high <= tolerance:
        problems.append(
            f"the loss on right answers rises by {rise.mean:+.1%}, and by up to {rise.high:+.1%} "
            f"within its interval over {rise.n} prompts; the tolerance is {tolerance:.1%}"
        )
    return problems + [
        f"{item.name} cannot be computed of the changed model (before: {item.before:.3f})"
        for item in figures
        if item.before is not None and item.after is None
    ]
