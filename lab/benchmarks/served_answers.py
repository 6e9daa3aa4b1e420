"""Answers of one language model through the pipeline over one store, cached on disk.

FOLDER/NAME-HASH.jsonl    by mode and question; an interrupted run can be resumed

HASH covers everything that an answer depends on: models, store, gate, prompts, number of passages,
and the code between a question and its answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from results_file import ANSWERS, code_hash

from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode, Sampling
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import Query
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.manifest import inputs_id
from expertrag_lab.train.reader.answers import holding

TOKENS, PASSAGES = 25, 5


@dataclass(frozen=True, slots=True)
class SourcedQuestion:
    """A question of a source, and the ids of the documents that answer it."""

    source: str
    query: Query
    documents: Collection[str] = ()

    def key(self, mode: GateMode) -> str:
        """Identify an answer to the question in the file."""
        return f"{mode}/{self.source}/{self.query.id}"


@dataclass(frozen=True, slots=True)
class ServedAnswer:
    """An answer as it was served.

    ``holding``: for each passage, whether it contains an accepted answer as whole words;
    ``judged``: whether its document is judged relevant, which includes documents that lead to the
    answer. ``cited``: numbers of the cited passages, from 1. ``seconds``: total of all stages.
    """

    text: str
    abstained: bool
    p_sufficient: float | None
    support: float | None
    retrieved: bool
    holding: tuple[bool, ...]
    judged: tuple[bool, ...]
    cited: tuple[int, ...]
    seconds: float
    prompt_tokens: int

    @property
    def shown(self) -> bool:
        """Whether one of the passages contains an accepted answer."""
        return any(self.holding)

    @property
    def citations(self) -> tuple[int, int]:
        """Number of citations of passages with an accepted answer, and of all citations."""
        return self._cited(self.holding)

    @property
    def right_citations(self) -> tuple[int, int]:
        """Number of citations of passages with an accepted answer or judged, and of all."""
        return self._cited([any(both) for both in zip(self.holding, self.judged, strict=True)])

    def _cited(self, right: Sequence[bool]) -> tuple[int, int]:
        return sum(right[number - 1] for number in self.cited), len(self.cited)


class AnswerCache:
    """Asks a pipeline with fixed settings: greedy, ``k`` passages, at most ``tokens`` tokens."""

    def __init__(
        self,
        pipeline: Pipeline,
        name: str,
        inputs: Mapping[str, JSON],
        folder: Path,
        *,
        tokens: int = TOKENS,
        k: int = PASSAGES,
    ) -> None:
        self._pipeline = pipeline
        self._name = name
        self._sampling, self._k = Sampling(max_tokens=tokens), k
        code: dict[str, JSON] = {path: code_hash(path) for path in ANSWERS}
        self.inputs: dict[str, JSON] = {**inputs, "tokens": tokens, "k": k, "code": code}
        self._path = folder / f"{name}-{inputs_id(self.inputs)}.jsonl"

    def ask(
        self, questions: Sequence[SourcedQuestion], modes: Sequence[GateMode], report: Progress
    ) -> dict[GateMode, list[ServedAnswer]]:
        """Answer questions, each in all modes before the next; cached answers are reused.

        A later mode finds prefixes that an earlier one has cached, so its seconds are not usable.
        """
        with appending(self._path) as file:
            known = read_results(self._path, _parsed)
            wanted = [(item, mode) for item in questions for mode in modes]
            missing = [(item, mode) for item, mode in wanted if item.key(mode) not in known]
            for done, (item, mode) in enumerate(missing, start=1):
                answer = known[item.key(mode)] = self._ask(item, mode)
                file.write(json.dumps({"key": item.key(mode), **asdict(answer)}) + "\n")
                file.flush()
                report(f"{self._name}, {mode}", done, len(missing))
        return {mode: [known[item.key(mode)] for item in questions] for mode in modes}

    def _ask(self, question: SourcedQuestion, mode: GateMode) -> ServedAnswer:
        request = AnswerRequest(question.query.text, mode=mode, k=self._k, sampling=self._sampling)
        return _served(fold(self._pipeline.answer(request)), question)


def _served(answer: Answer, question: SourcedQuestion) -> ServedAnswer:
    accepted = question.query.answers or ()
    return ServedAnswer(
        text=answer.text,
        abstained=answer.abstained,
        p_sufficient=answer.p_sufficient,
        support=answer.support,
        retrieved=answer.decision.retrieve,
        holding=tuple(bool(holding(item, accepted)) for item in answer.passages),
        judged=tuple(item.document_id in question.documents for item in answer.passages),
        cited=tuple(dict.fromkeys(citation.passage for citation in answer.citations)),
        seconds=sum(answer.usage.stage_seconds.values()),
        prompt_tokens=answer.usage.prompt_tokens,
    )


def _parsed(item: Mapping[str, Any]) -> tuple[str, ServedAnswer]:
    fields = {name: value for name, value in item.items() if name != "key"}
    tuples = {name: tuple(fields[name]) for name in ("holding", "judged", "cited")}
    return item["key"], ServedAnswer(**{**fields, **tuples})
