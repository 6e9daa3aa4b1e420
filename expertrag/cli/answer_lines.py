"""Lines about an answer, all on stderr: where it is from, its sources, the gate, the cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

import click

from expertrag.api.citing import best_by_passage, quote
from expertrag.api.events import AnswerEvent, GateEvent, PassagesEvent
from expertrag.api.table_text import coverage_text
from expertrag.api.types import Answer, GateAction, GateDecision, GateMode
from expertrag.cli.output import (
    format_count,
    note,
    one_line,
    passage_lines,
    printable,
    snippet,
    source_of,
    without_colour,
)
from expertrag_retriever.types import SIGNAL_GROUPS

MODEL_ALONE = "From the model alone, not from your documents"
BAR_CHARACTERS = 20
_CLOSEST = 3
_IN_WORDS = {
    GateAction.RETRIEVE: "searched your documents, which seem to be about this",
    GateAction.CLOSED_BOOK: "did not search: your documents do not seem to be about this",
}


class Detail(IntEnum):
    """How much is printed besides the answer."""

    NOTHING = 0
    FACTS = 1
    EVERYTHING = 2


def print_dimmed(lines: Iterable[str]) -> None:
    """Print lines on stderr: dimmed on a terminal, unless NO_COLOR is set."""
    plain = without_colour()
    for line in lines:
        note(line if plain else click.style(line, dim=True))  # only a terminal gets the codes


def heading_of(event: AnswerEvent, mode: GateMode) -> str:
    """Return the heading of an answer that comes from the model alone; "" for all others.

    :param event: any event of the answer; only the first that implies such an answer has one.
    :param mode: of the decision; in STRICT, no passages mean an abstention, which has no heading.
    """
    match event:
        case GateEvent(decision) if decision.action is GateAction.CLOSED_BOOK:
            return f"{MODEL_ALONE}:"
        case PassagesEvent(()) if mode is not GateMode.STRICT:
            return f"{MODEL_ALONE}, where nothing was found:"
    return ""


def source_lines(answer: Answer) -> Iterator[str]:
    """Yield a line on the support of an answer, and its sources with the sentences they support.

    For an abstention, yield the documents that came closest. Of what was counted, the first lines
    say how, and whether it is complete.
    """
    yield from counting_lines(answer)
    if answer.abstained:
        yield from _abstention_lines(answer)
        return
    cited = best_by_passage(answer.citations)
    if answer.unsupported_reason:
        yield f"Check this: {one_line(answer.unsupported_reason)}"
    elif cited:
        yield "Supported by the documents."
    for rank, citation in cited.items():
        if 1 <= rank <= len(answer.passages):
            passage = answer.passages[rank - 1]
            yield f"Source [{rank}]: {source_of(passage, citation.page)}"
            yield f"  \u201c{snippet(quote(citation, passage))}\u201d"
    if answer.passages and not cited and answer.support is not None:
        count = format_count(len(answer.passages), "passage")
        yield f"Sources: none of the {count} supports a sentence"


def counting_lines(answer: Answer) -> Iterator[str]:
    """Yield how an answer about a set of documents was counted, and what was searched for it."""
    if answer.query:
        yield f"how this was counted: {one_line(answer.query)}"
    if answer.coverage is not None:
        yield one_line(coverage_text(answer.coverage, answer.query))


def _abstention_lines(answer: Answer) -> Iterator[str]:
    """Yield why an answer was withheld, and the titles of the documents that came closest."""
    if answer.unsupported_reason:
        yield f"Withheld: {one_line(answer.unsupported_reason)}"
    by_document = {passage.document_id: passage for passage in reversed(answer.passages)}
    closest = [
        passage for passage in answer.passages if by_document[passage.document_id] is passage
    ]
    for number, passage in enumerate(closest[:_CLOSEST]):
        yield f"{'         ' if number else 'Closest: '}{source_of(passage, passage.page)}"


def decision_lines(decision: GateDecision, *, brief: bool = False) -> Iterator[str]:
    """Yield lines on the gate's decision and its reason.

    :param brief: without numbers.
    """
    if decision.rewritten_question:
        yield f"Read as: {one_line(decision.rewritten_question)}"
    if decision.p_benefit is None or decision.threshold is None:
        yield f"Gate: {decision.action} ({decision.mode}). {printable(decision.reason)}"
    elif brief:
        yield f"Gate: {_IN_WORDS[decision.action]}"
    else:
        numbers = f"p_benefit {decision.p_benefit:.2f} against {decision.threshold:.2f}"
        reason = printable(decision.reason)
        yield f"Gate: {decision.action} ({decision.mode}, {numbers}). {reason}"
    if decision.pattern:
        yield f"Experts: those that matter to {printable(decision.pattern)}"
    for warning in decision.warnings:
        yield printable(f"  warning: {warning}")


def evidence_lines(decision: GateDecision) -> Iterator[str]:
    """Yield lines on what the decision rests on: probabilities, contributions and signals."""
    known = {
        "retrieval improves the answer": decision.p_benefit,
        "needed for a retrieval (the threshold)": decision.threshold,
        "the model is right alone": decision.p_correct_closed_book,
        "the model is right with the documents": decision.p_correct_retrieval,
    }
    probabilities = {name: value for name, value in known.items() if value is not None}
    if probabilities:
        yield "  probabilities"
        yield from (f"    {value:.2f}  {name}" for name, value in probabilities.items())
    if decision.contributions:
        yield "  contributions to the log odds that retrieval improves the answer"
        yield from _bars(decision)
    if decision.signals:
        yield "  signals"
        signals = sorted((name, value) for name, value in decision.signals.items() if value)
        yield from (f"    {printable(name)} {value:.3f}" for name, value in signals)
        if zeros := len(decision.signals) - len(signals):
            yield f"    and {zeros} that are 0"


def _bars(decision: GateDecision) -> Iterator[str]:
    """Yield a bar for each contribution, the largest first; the largest has the full length."""
    contributions = {
        SIGNAL_GROUPS.get(name, printable(name)): value
        for name, value in decision.contributions.items()
    }
    widest = max(map(len, contributions))
    largest = max(map(abs, contributions.values())) or 1.0
    for name, value in sorted(contributions.items(), key=lambda item: -abs(item[1])):
        bar = "█" * round(BAR_CHARACTERS * abs(value) / largest)
        yield f"    {value:+.2f}  {name.ljust(widest)}  {bar}".rstrip()


def cost_line(answer: Answer) -> str:
    """Return the line on the cost, with the seconds of each stage."""
    usage = answer.usage
    spent = sum(usage.stage_seconds.values())
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in usage.stage_seconds.items())
    dropped = f", turns dropped {usage.turns_dropped}" if usage.turns_dropped else ""
    cached = f" ({usage.cached_prompt_tokens} cached)" if usage.cached_prompt_tokens else ""
    parts = f" ({stages})" if stages else ""
    return (
        f"Cost: lm_calls {usage.lm_calls}, retrieval_calls {usage.retrieval_calls}, "
        f"tokens {usage.prompt_tokens}{cached} + {usage.completion_tokens}, "
        f"vectors scanned {usage.vectors_scanned:,}{dropped}, seconds {spent:.2f}{parts}"
    )


def print_facts(answer: Answer, detail: Detail) -> None:
    """Print the lines below an answer, on stderr: sources, gate and id; details on demand."""
    if detail is Detail.NOTHING:
        return
    note("")
    for line in source_lines(answer):
        note(line)
    if detail is Detail.EVERYTHING:
        for line in _probability_lines(answer):
            note(line)
    print_dimmed(decision_lines(answer.decision, brief=detail is Detail.FACTS))
    if detail is Detail.EVERYTHING:
        print_dimmed(evidence_lines(answer.decision))
    if answer.id:
        print_dimmed([f"Id: {answer.id}"])
    if detail is Detail.EVERYTHING:
        print_dimmed([cost_line(answer)])


def _probability_lines(answer: Answer) -> Iterator[str]:
    """Yield the passages and the probabilities that the line on support is based on."""
    if answer.passages:
        yield "Passages:"
        yield from (f"  {line}" for line in passage_lines(answer.passages))
    if answer.p_sufficient is not None:
        yield f"Probability that the passages hold the answer: {answer.p_sufficient:.2f}"
    if answer.support is not None:
        yield f"Probability that the answer is right: {answer.support:.2f}"
