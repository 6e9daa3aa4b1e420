"""Reads one attribute of one document, in one of the threads of a scan."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from expertrag.answer.scan.excerpts import excerpt_of
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.reading import READERS
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.tasks import ReadingTask
from expertrag.answer.scan.values import Kind

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.api.types import Sampling
    from expertrag.llm.base import Generator, Message, Session
    from expertrag.runtime.meter import Meter
    from expertrag_index.types import FloatArray
    from expertrag_retriever.types import Passage

_FOCUS = 2  # passages of a long document that are looked at


class ScanEnded(Exception):
    """The scan that a thread reads for has ended."""


class DocumentReader:
    """Reads documents for one question. Thread-safe, but for its meter."""

    def __init__(
        self,
        generator: Generator,
        context: AnswerContext,
        noun: str,
        passages: Mapping[str, Sequence[Passage]],
    ) -> None:
        """Read for the question of a context.

        :param passages: what a search has found, by document.
        """
        self._generator = generator
        self._context = context
        self._noun = noun
        self._passages = passages

    @property
    def meter(self) -> Meter:
        """The meter of the question."""
        return self._context.meter

    def task(self, document_id: str, text: str, attribute: Attribute) -> ReadingTask:
        """Return the task of reading an attribute of a document."""
        salt, model = self._context.policy.salt, self._generator.fingerprint
        return ReadingTask.of(document_id, text, attribute, self._noun, model, salt)

    def read(self, task: ReadingTask, ended: threading.Event) -> tuple[Reading, Session | None]:
        """Return the reading of a task, and the closed session that has read it, for the meter.

        :param ended: is set when nobody waits for the reading any more.
        """

        def should_stop() -> None:
            self._context.should_stop()
            if ended.is_set():
                raise ScanEnded

        def encode(texts: Sequence[str]) -> FloatArray:
            should_stop()
            return self._context.view.embedder.encode_documents(list(texts))

        opened: list[Session] = []

        def open(messages: list[Message], sampling: Sampling) -> Session:
            should_stop()
            policy = self._generator.make_policy(sampling, salt=self._context.policy.salt)
            opened.append(self._generator.begin(messages, sampling, should_stop, policy))
            return opened[-1]

        should_stop()
        attribute = task.attribute
        found = self._passages.get(task.document_id, ())
        focus = [(passage.start, passage.end) for passage in found[:_FOCUS]]
        excerpt = excerpt_of(task.text, attribute, task.options, focus, encode)
        if not excerpt.spans:
            return Reading(p=0.5 if attribute.kind is Kind.YESNO else 1.0), None
        reading = READERS[attribute.kind](excerpt, attribute, self._noun, open)
        return reading, next(iter(opened), None)
