"""The scan: read each document of a set once, with several sessions of the model at a time."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Generator as Yielding
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from expertrag.answer.scan.decisions import NAMED, decide, is_certain
from expertrag.answer.scan.document_reader import DocumentReader
from expertrag.answer.scan.documents import MOST_DOCUMENTS, ChosenDocuments, choose_documents
from expertrag.answer.scan.kept import KeptReadings
from expertrag.answer.scan.plan import Attribute, ScanPlan, read_plan
from expertrag.answer.scan.result import AttributeRead, Reading, ScannedDocument, ScanResult
from expertrag.answer.scan.tasks import ReadingTask
from expertrag.answer.scan.values import Kind
from expertrag.api.events import ProgressEvent
from expertrag.api.types import QuestionScope
from expertrag.llm import prompt
from expertrag_index.words import sentences

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.llm.base import Generator, Session

SESSIONS = 12
"""Documents that are read at a time, so that the steps of the engine are full."""
_SECONDS_A_READING = 0.5  # before the first scan has measured it

_Read = dict[str, list[AttributeRead]]  # by document


class Scanner:
    """Reads documents with a language model. Thread-safe; keeps readings, and its speed."""

    def __init__(self, generator: Generator, kept: KeptReadings | None = None) -> None:
        self._generator = generator
        self._kept = kept if kept is not None else KeptReadings()
        self._seconds_a_reading = _SECONDS_A_READING

    @property
    def can_read(self) -> bool:
        """Whether the model is large enough to read documents one by one."""
        return self._generator.family == prompt.INSTRUCT.name

    def stream(
        self, context: AnswerContext, scope: QuestionScope, limit: int = MOST_DOCUMENTS
    ) -> Yielding[ProgressEvent, None, ScanResult]:
        """Read the documents of the family that a question is about, yielding the progress.

        The first event comes before the first document is read: what is to be read, and how long
        that is likely to take. Closing the iterator ends the reading.

        :param limit: documents that are read at most; the others are left out.
        """
        as_of = context.request.as_of
        today = datetime.date.fromisoformat(as_of[:10]) if as_of else datetime.date.today()
        plan = read_plan(context, self._generator, scope, today)
        return (yield from self.read(context, plan, choose_documents(context, limit)))

    def read(
        self, context: AnswerContext, plan: ScanPlan, chosen: ChosenDocuments
    ) -> Yielding[ProgressEvent, None, ScanResult]:
        """Read the attributes of a plan in chosen documents, yielding the progress.

        Attributes without a condition are read only of the documents that may match.
        """
        index = context.view.index
        texts = {info.id: index.document_text(info.id) for info in chosen.documents}
        reader = DocumentReader(self._generator, context, plan.noun, chosen.passages)
        read: _Read = {id: [] for id in texts}
        for conditional in (True, False):
            attributes = [a for a in plan.attributes if (a.condition is not None) == conditional]
            ids = [id for id in texts if all(item.holds is not False for item in read[id])]
            some = {id: texts[id] for id in ids}
            for attribute in attributes:
                yield from self._read_attribute(reader, attribute, some, read)
        documents = tuple(
            ScannedDocument(info.id, info.title, tuple(read[info.id]))
            for info in sorted(chosen.documents, key=lambda info: info.id)
        )
        searched = len(documents) + chosen.left_out
        return ScanResult(plan, documents, searched, chosen.left_out, chosen.family)

    def _read_attribute(
        self, reader: DocumentReader, attribute: Attribute, texts: dict[str, str], read: _Read
    ) -> Iterator[ProgressEvent]:
        """Read an attribute of some documents, and decide on its condition over all of them."""
        readings = yield from self._read_texts(reader, attribute, texts)
        held = dict(zip(readings, decide(attribute, list(readings.values())), strict=True))
        if attribute.kind is Kind.NAME and attribute.condition:  # such as one of several attendees
            asked = attribute.as_question()
            unsure = {id: texts[id] for id, reading in readings.items() if reading.p < NAMED}
            again = yield from self._read_texts(reader, asked, unsure)
            held |= dict(zip(again, decide(asked, list(again.values())), strict=True))
        for id, holds in held.items():
            reading = readings[id]
            quote = _sentence_at(texts[id], reading.start) if reading.has_place else ""
            certain = is_certain(attribute, reading)
            read[id].append(AttributeRead(attribute, reading, holds, quote, certain))

    def _read_texts(
        self, reader: DocumentReader, attribute: Attribute, texts: dict[str, str]
    ) -> Yielding[ProgressEvent, None, dict[str, Reading]]:
        """Return what is read of an attribute in texts, in their order."""
        tasks = [reader.task(id, text, attribute) for id, text in texts.items()]
        readings: dict[str, Reading] = {}
        for task in tasks:
            known = task.settle() or self._kept.get(task.key)
            if known is not None:
                readings[task.document_id] = known
        waiting = [task for task in tasks if task.document_id not in readings]
        if tasks:
            seconds = len(waiting) * self._seconds_a_reading
            yield ProgressEvent(len(readings), len(tasks), seconds)
        yield from self._read_waiting(reader, waiting, readings)
        return {id: readings[id] for id in texts}

    def _read_waiting(
        self, reader: DocumentReader, waiting: Sequence[ReadingTask], readings: dict[str, Reading]
    ) -> Iterator[ProgressEvent]:
        """Read what is not known, several documents at a time."""
        if not waiting:
            return
        total, started = len(readings) + len(waiting), time.perf_counter()
        ended = threading.Event()
        pool = ThreadPoolExecutor(SESSIONS, thread_name_prefix="scan")
        try:
            futures: dict[Future[tuple[Reading, Session | None]], ReadingTask] = {
                pool.submit(reader.read, task, ended): task for task in waiting
            }
            for done, future in enumerate(as_completed(futures), 1):
                task = futures[future]
                reading, session = future.result()
                if session:
                    reader.meter.count(session)
                readings[task.document_id] = reading
                self._kept.put(task.key, reading)
                self._seconds_a_reading = (time.perf_counter() - started) / done
                seconds_left = self._seconds_a_reading * (len(waiting) - done)
                yield ProgressEvent(len(readings), total, seconds_left)
        finally:
            ended.set()
            pool.shutdown(cancel_futures=True)


def _sentence_at(text: str, place: int) -> str:
    spans = sentences.spans(text)
    return next((text[start:end] for start, end in spans if start <= place < end), "")
