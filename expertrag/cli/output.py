"""What commands print: results on stdout, notes on stderr."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expertrag.api.jsonable import to_json
from expertrag.api.types import (
    Answer,
    AnswerEvent,
    Citation,
    GateAction,
    GateDecision,
    GateEvent,
    GateMode,
    Passage,
    PassagesEvent,
)
from expertrag.cli.exits import ExitCode

if TYPE_CHECKING:
    from expertrag_index.types import LoadFailure

SHOWN_FAILURES = 20
SNIPPET_CHARACTERS = 240
MODEL_ALONE = "From the model alone, not from your documents"
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def emit_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    click.echo(json.dumps(to_json(value), ensure_ascii=False, indent=2))


def print_found(found: Any, as_json: bool, lines: Iterable[str]) -> None:
    """Print a result: as JSON, or as ``lines``, which are made only then."""
    if as_json:
        emit_json(found)
        return
    for line in lines:
        click.echo(line)


def print_made(made: Any, out: Path, as_json: bool, lines: Iterable[str]) -> None:
    """Print the report ``made`` of what was written to ``out``: as JSON, or as ``lines``."""
    print_found(made, as_json, itertools.chain(lines, (f"wrote {out}",)))


def note(message: str) -> None:
    """Print a line on stderr."""
    click.echo(message, err=True)


def note_failures(failures: Sequence[LoadFailure]) -> None:
    """Print why documents were skipped: one line each for the first 20, then the count.

    Notices, which are no loss, come last.
    """
    for failure in sorted(failures, key=lambda each: each.notice)[:SHOWN_FAILURES]:
        what = "note" if failure.notice else "skipped"
        note(printable(f"{what} {failure.source}: {failure.reason}; {failure.cure}"))
    if len(failures) > SHOWN_FAILURES:
        note(f"… and {len(failures) - SHOWN_FAILURES} more (--json lists all)")
    if lost := sum(not failure.notice for failure in failures):
        note(f"{lost} skipped")


def exit_if_skipped(failures: Sequence[LoadFailure]) -> None:
    """Exit with 3 if documents were skipped, not only remarked on."""
    if not all(failure.notice for failure in failures):
        click.get_current_context().exit(ExitCode.PARTIAL)


def size(size_bytes: int) -> str:
    """Format a size in bytes: ``1.5 MiB``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount = size_bytes / 1024
    for unit in ("KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def printable(text: str) -> str:
    """Remove control characters, so that a document cannot control the terminal."""
    return text.translate(_CONTROLS)


def passage_lines(passages: Sequence[Passage]) -> Iterator[str]:
    """Yield lines on passages: rank, score, provenance and the start of the text."""
    for rank, passage in enumerate(passages, 1):
        yield (
            f"{rank}. {passage.score:.3f}  {_origin(passage, passage.page)}  "
            f"characters {passage.start}-{passage.end}"
        )
        yield f"   {_snippet(passage.text)}"
    if not passages:
        yield "nothing found"


def decision_lines(decision: GateDecision, *, brief: bool = False) -> Iterator[str]:
    """Yield lines on the gate's decision and its reason.

    :param brief: without the reason if probabilities decided.
    """
    if decision.rewritten_question:
        yield f"Read as: {_one_line(decision.rewritten_question)}"
    numbers = ""
    if decision.p_benefit is not None and decision.threshold is not None:
        numbers = f", p_benefit {decision.p_benefit:.2f} against {decision.threshold:.2f}"
    reason = "" if brief and numbers else f". {printable(decision.reason)}"
    yield f"Gate: {decision.action} ({decision.mode}{numbers}){reason}"
    for warning in decision.warnings:
        yield printable(f"  warning: {warning}")


def print_answer_heading(event: AnswerEvent, mode: GateMode) -> None:
    """Print a heading above an answer that comes from the model alone.

    :param event: any event of the answer; the first that implies such an answer prints it.
    :param mode: in STRICT, no passages mean an abstention, which has no heading.
    """
    match event:
        case GateEvent(decision) if decision.action is GateAction.CLOSED_BOOK:
            click.echo(f"{MODEL_ALONE}:")
        case PassagesEvent(()) if mode is not GateMode.STRICT:
            click.echo(f"{MODEL_ALONE}, where nothing was found:")


def print_sources(answer: Answer) -> None:
    """Print missing support, and the sources with the sentences that they support."""
    if answer.unsupported_reason:
        label = "Withheld, not supported" if answer.abstained else "Not supported"
        click.echo(f"{label}: {_one_line(answer.unsupported_reason)}")
    best: dict[int, Citation] = {}
    for citation in answer.citations:
        if citation.passage not in best or citation.score > best[citation.passage].score:
            best[citation.passage] = citation
    for rank, citation in sorted(best.items()):
        if 1 <= rank <= len(answer.passages):
            passage = answer.passages[rank - 1]
            origin = _origin(passage, citation.page)
            click.echo(f"Source [{rank}]: {origin}, support {citation.score:.2f}")
            quoted = passage.text[citation.start - passage.start : citation.end - passage.start]
            click.echo(f"  \u201c{_snippet(quoted)}\u201d")
    if answer.passages and not best and answer.support is not None:
        click.echo(f"Sources: none of the {len(answer.passages)} passages supports a sentence")
    if answer.p_sufficient is not None:
        asked = " (STRICT requires 0.50)" if answer.decision.mode is GateMode.STRICT else ""
        click.echo(f"Passages: hold the answer with probability {answer.p_sufficient:.2f}{asked}")


def print_answer_facts(answer: Answer) -> None:
    """Print the lines below an answer: missing support, sources, gate decision and cost."""
    print_sources(answer)
    for line in decision_lines(answer.decision):
        click.echo(line)
    if answer.id:
        click.echo(f"Id: {answer.id}")
    usage = answer.usage
    stages = ", ".join(f"{name} {spent:.2f}" for name, spent in usage.stage_seconds.items())
    dropped = f", turns dropped {usage.turns_dropped}" if usage.turns_dropped else ""
    cached = f" ({usage.cached_prompt_tokens} cached)" if usage.cached_prompt_tokens else ""
    click.echo(
        f"Cost: lm_calls {usage.lm_calls}, retrieval_calls {usage.retrieval_calls}, "
        f"tokens {usage.prompt_tokens}{cached} + {usage.completion_tokens}, "
        f"vectors scanned {usage.vectors_scanned:,}{dropped}, seconds {stages or '0'}"
    )


def _origin(passage: Passage, page: int | None) -> str:
    """Return title, source and document id, without duplicates, and the page."""
    parts = dict.fromkeys(filter(None, (passage.title, passage.source, passage.document_id)))
    where = "" if page is None else f", page {page}"
    return printable(" | ".join(parts)).replace("\n", " ") + where


def _snippet(text: str) -> str:
    """Return the beginning of a text, in one line."""
    line = _one_line(text)
    return f"{line[:SNIPPET_CHARACTERS]}{'…' * (len(line) > SNIPPET_CHARACTERS)}"


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())
