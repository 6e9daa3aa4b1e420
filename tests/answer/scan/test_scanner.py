"""Scans of a small store by a real model, which reads too little to be right."""

from __future__ import annotations

import threading

import pytest
from scan_samples import OpenContext, condition
from serving_fixtures import PacedGenerator

from expertrag.answer.context import AnswerContext
from expertrag.answer.scan import Scanner, ScanResult
from expertrag.answer.scan.conditions import Operator
from expertrag.answer.scan.documents import choose_documents
from expertrag.answer.scan.kept import KeptReadings
from expertrag.answer.scan.plan import Attribute, Computed, ScanPlan
from expertrag.answer.scan.values import Kind
from expertrag.api.events import ProgressEvent
from expertrag.llm.backends.transformers_backend import TransformersGenerator

QUESTION = "Which contracts end in 2026?"
END = Attribute("end date", Kind.DATE, condition(Kind.DATE, Operator.IS, "2026"))
FEE = Attribute("annual fee", Kind.MONEY)
RENEWS = Attribute("Does it renew?", Kind.YESNO, condition(Kind.YESNO, Operator.IS, "yes"))
CHAIR = Attribute("chair", Kind.NAME, condition(Kind.NAME, Operator.IS, "Anna Meier"))


def _scan(
    scanner: Scanner, context: AnswerContext, *attributes: Attribute, noun: str = "contracts"
) -> tuple[list[ProgressEvent], ScanResult]:
    plan = ScanPlan(noun, attributes, Computed.LIST)
    events = scanner.read(context, plan, choose_documents(context, 100))
    seen: list[ProgressEvent] = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as ended:
            return seen, ended.value


def test_code_settles_what_no_value_can_match(
    ask: OpenContext, smollm: TransformersGenerator
) -> None:
    context = ask(QUESTION)
    events, result = _scan(Scanner(smollm), context, END)
    assert [event.total for event in events] == [4] * len(events)
    assert events[0].done == 1  # the contract whose only date after its signature is of 2025
    assert events[-1].done == 4
    assert context.meter.usage().lm_calls == 3
    assert [document.id for document in result.documents] == [
        f"contracts/contract-{number}.txt" for number in (1, 2, 3, 4)
    ]
    assert result.documents[0].holds is False
    assert (result.searched, result.family) == (4, "all of contracts")


def test_what_was_chosen_is_a_quote(ask: OpenContext, smollm: TransformersGenerator) -> None:
    context = ask(QUESTION)
    _, result = _scan(Scanner(smollm), context, FEE)
    texts = {d.id: context.view.index.document_text(d.id) for d in result.documents}
    for document in result.documents:
        (read,) = document.read
        reading = read.reading
        if reading.has_place:
            assert texts[document.id][reading.start : reading.end] == reading.written
            assert reading.written in read.quote
    assert any(read.reading.has_place for document in result.documents for read in document.read)


def test_a_second_question_reads_nothing_again(
    ask: OpenContext, smollm: TransformersGenerator
) -> None:
    scanner = Scanner(smollm)
    _, before = _scan(scanner, ask(QUESTION), FEE)
    context = ask("What is the sum of the fees?")
    events, after = _scan(scanner, context, FEE)
    assert context.meter.usage().lm_calls == 0
    assert [(event.done, event.seconds_left) for event in events] == [(4, 0.0)]
    assert after == before


def test_no_reading_crosses_callers(ask: OpenContext, smollm: TransformersGenerator) -> None:
    kept = KeptReadings()
    scanner = Scanner(smollm, kept)
    _, seen = _scan(scanner, ask(QUESTION, labels=frozenset({"board"}), salt="board"), FEE)
    assert any("77,000" in read.reading.written for d in seen.documents for read in d.read)
    context = ask(QUESTION, salt="guest")
    _, result = _scan(scanner, context, FEE)
    assert context.meter.usage().lm_calls == 4  # none was shared
    assert len(kept) == 9
    assert "77,000" not in str(result)
    assert "contract-5" not in str(result)


def test_attributes_without_a_condition_are_read_of_what_may_match(
    ask: OpenContext, smollm: TransformersGenerator
) -> None:
    _, result = _scan(Scanner(smollm), ask(QUESTION), FEE, END)
    read = {document.id: len(document.read) for document in result.documents}
    assert read["contracts/contract-1.txt"] == 1  # it does not end in 2026


def test_yes_or_no_has_a_probability(ask: OpenContext, smollm: TransformersGenerator) -> None:
    _, result = _scan(Scanner(smollm), ask(QUESTION), RENEWS)
    assert all(0 <= document.read[0].reading.p <= 1 for document in result.documents)
    assert all(document.read[0].quote for document in result.documents)


def test_a_name_is_only_looked_for_where_it_occurs(
    ask: OpenContext, smollm: TransformersGenerator
) -> None:
    context = ask("Which meetings did Anna Meier chair?", family="minutes")
    _, result = _scan(Scanner(smollm), context, CHAIR, noun="meetings")
    held = {document.id: document.holds for document in result.documents}
    assert held["minutes/April.txt"] is False
    assert 1 <= context.meter.usage().lm_calls <= 2


def test_an_error_that_stops_a_request_ends_the_scan(
    ask: OpenContext, smollm: TransformersGenerator
) -> None:
    class StoppedError(Exception):
        pass

    stopped = threading.Event()

    def should_stop() -> None:
        if stopped.is_set():
            raise StoppedError

    context = ask(QUESTION, should_stop=should_stop)
    events = Scanner(smollm).read(
        context, ScanPlan("contracts", (FEE,)), choose_documents(context, 100)
    )
    next(events)
    stopped.set()
    with pytest.raises(StoppedError):
        list(events)
    assert not _reading_threads()


def test_closing_the_iterator_ends_the_threads(
    ask: OpenContext, smollm: TransformersGenerator
) -> None:
    context = ask(QUESTION)
    events = Scanner(smollm).read(
        context, ScanPlan("contracts", (FEE,)), choose_documents(context, 100)
    )
    next(events)
    next(events)
    events.close()
    assert not _reading_threads()


def test_a_small_model_does_not_scan(smollm: TransformersGenerator, paced: PacedGenerator) -> None:
    assert not Scanner(smollm).can_read
    assert not Scanner(paced).can_read


def _reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("scan")]
