"""A pipeline as a target of rag-redteam: a store that its probes fill and empty over the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, DocumentInput, GateMode, Sampling


class RedteamTarget:
    """Answers from what is in the store; the probes' documents come and go.

    :param done: called after each answer.
    """

    def __init__(
        self, pipeline: Pipeline, sampling: Sampling, k: int, done: Callable[[], None]
    ) -> None:
        self._pipeline = pipeline
        self._sampling = sampling
        self._k = k
        self._done = done
        self._planted: list[str] = []

    def reset(self) -> None:
        """Delete the documents of the last attempt."""
        if self._planted:
            self._pipeline.delete(self._planted)
        self._planted = []

    def add_documents(self, docs: Sequence[str]) -> None:
        """Add documents of an attempt."""
        new = [f"planted-{number}" for number in range(len(docs))]
        self._pipeline.upsert(map(DocumentInput, new, docs))
        self._planted = new

    def answer(self, query: str) -> str:
        """Answer from the documents."""
        request = AnswerRequest(query, mode=GateMode.ALWAYS, k=self._k, sampling=self._sampling)
        text = fold(self._pipeline.answer(request)).text
        self._done()
        return text


class AttemptLike(Protocol):
    """What is used of an attempt of rag-redteam."""

    success: bool


class ProbeResultLike(Protocol):
    """What is used of the result of a probe of rag-redteam."""

    name: str
    skipped: bool
    attempts: Sequence[AttemptLike]
