"""Answers to the questions on the office share, as served, kept on disk one a line.

WORK/office/share-HASH                    the share
WORK/office/store-HASH                    its store; HASH covers the code that reads and stores it
WORK/office/answers/MODEL-HASH.jsonl      the rows; HASH covers everything that an answer depends on
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import office_share
import results_file
from eval_answers import config_of
from mixed_store import build
from office_questions import OfficeQuestion, is_right

from expertrag.answer.assemble import open_pipeline
from expertrag.answer.pipeline import Pipeline
from expertrag.api.citing import quote
from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode
from expertrag.config import Config
from expertrag.stores.embedders import open_embedder
from expertrag_index.store.index import Index
from expertrag_index.types import Progress
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.manifest import inputs_id

SHARE = (
    "lab/benchmarks/office_share.py",
    "lab/benchmarks/office_markup.py",
    "lab/benchmarks/office_ooxml.py",
    "lab/benchmarks/office_pages.py",
)
ANSWERING = (
    "expertrag/answer",
    "expertrag/grounding",
    "expertrag/stores",
    "expertrag/conversation",
    "expertrag/llm",
    "expertrag/config",
    "retriever/expertrag_retriever",
    "index/expertrag_index",
)
"""Code between a question and its answer; kept rows of other code are not reused."""


@dataclass(frozen=True, slots=True)
class Row:
    """An answer as served, with everything needed to judge it later.

    ``citations`` are mappings of ``document``, ``passage`` (rank, from 1), ``quote`` and ``score``.
    ``passages`` are ids of the documents in the prompt, best first, and ``texts`` theirs.
    """

    id: str
    mode: str
    kind: str
    half: str
    question: str
    rewritten: str
    answer: str
    finish_reason: str
    from_documents: bool
    citations: tuple[Mapping[str, Any], ...]
    support: float | None
    p_sufficient: float | None
    unsupported_reason: str
    passages: tuple[str, ...]
    texts: tuple[str, ...]
    action: str
    p_benefit: float | None
    stage_seconds: Mapping[str, float]
    seconds: float

    @property
    def abstained(self) -> bool:
        """Whether the service said that it does not answer."""
        return self.finish_reason == "abstained"

    @property
    def warned(self) -> bool:
        """Whether clients show a note that the answer is not supported.

        ``expertrag ask`` prints "Not supported" for a reason, and only then
        (``expertrag/cli/answer_lines.py``).
        """
        return bool(self.unsupported_reason)

    def shows(self, question: OfficeQuestion) -> bool:
        """Whether the prompt had passages of the document, or of all if several are needed."""
        files = {passage.partition("#")[0] for passage in self.passages}
        wanted = files & set(question.documents)
        return wanted == set(question.documents) if question.kind == "several" else bool(wanted)

    def right(self, question: OfficeQuestion) -> bool:
        """Whether the answer is right."""
        return is_right(question, self.answer, abstained=self.abstained)


class RowCache:
    """Asks a pipeline with the defaults of a request, in one mode after the other."""

    def __init__(self, pipeline: Pipeline, model: str, store: Path, work: Path) -> None:
        self._pipeline, self._model = pipeline, model
        self.inputs = _inputs(pipeline, store)
        self.path = work / "answers" / f"{model}-{inputs_id(self.inputs)}.jsonl"

    def ask(
        self, questions: Sequence[OfficeQuestion], mode: GateMode, report: Progress
    ) -> list[Row]:
        """Answer questions; kept rows are reused."""
        with appending(self.path) as file:
            known = read_results(self.path, _parsed)
            missing = [item for item in questions if _key(item, mode) not in known]
            for done, item in enumerate(missing, start=1):
                row = known[_key(item, mode)] = self._ask(item, mode)
                file.write(json.dumps({"key": _key(item, mode), **asdict(row)}) + "\n")
                file.flush()
                report(f"{self._model}, {mode}", done, len(missing))
        return [known[_key(item, mode)] for item in questions]

    def _ask(self, question: OfficeQuestion, mode: GateMode) -> Row:
        request = AnswerRequest(question.question, mode=mode, history=question.history)
        began = time.monotonic()
        answer = fold(self._pipeline.answer(request))
        return _row(question, mode, answer, time.monotonic() - began)


def prepare(work: Path, report: Progress) -> Path:
    """Write the share and build its store, as ``expertrag index build`` does; return the store."""
    material = {
        path.name: path.read_text("utf-8") for path in (office_share.MATERIAL / "share").iterdir()
    }
    share = work / f"share-{inputs_id({**material, 'code': _hashes(SHARE)})}"
    if not (share / ".complete").exists():
        shutil.rmtree(share, ignore_errors=True)
        office_share.write(share)
        (share / ".complete").touch()
    store = work / f"store-{inputs_id({'share': share.name, 'code': _hashes(ANSWERING[-2:])})}"
    return build(share, store, open_embedder(Config().model, None), report)


def opened(model: str, store: Path) -> Pipeline:
    """Open the pipeline with the defaults of the service, except the language model."""
    return open_pipeline(replace(config_of(model), index=str(store)))


def _inputs(pipeline: Pipeline, store: Path) -> dict[str, JSON]:
    info = pipeline.info()
    with Index.open(store) as index:
        corpus = index.manifest.corpus_hash
    models: dict[str, JSON] = {"embedder": info.embedder, "generator": info.model}
    return {"corpus": corpus, **models, "code": _hashes(ANSWERING)}


def _hashes(paths: Sequence[str]) -> list[JSON]:
    return [results_file.code_hash(path) for path in paths]


def _key(question: OfficeQuestion, mode: GateMode) -> str:
    return f"{mode}/{question.text}"


def _row(question: OfficeQuestion, mode: GateMode, answer: Answer, seconds: float) -> Row:
    citations = [
        {
            "document": item.document_id,
            "passage": item.passage,
            "quote": quote(item, answer.passages[item.passage - 1]),
            "score": item.score,
        }
        for item in answer.citations
    ]
    return Row(
        id=question.id,
        mode=str(mode),
        kind=question.kind,
        half=question.half,
        question=question.text,
        rewritten=answer.decision.rewritten_question,
        answer=answer.text,
        finish_reason=str(answer.finish_reason),
        from_documents=answer.from_documents,
        citations=tuple(citations),
        support=answer.support,
        p_sufficient=answer.p_sufficient,
        unsupported_reason=answer.unsupported_reason,
        passages=tuple(item.document_id for item in answer.passages),
        texts=tuple(item.text for item in answer.passages),
        action=str(answer.decision.action),
        p_benefit=answer.decision.p_benefit,
        stage_seconds=dict(answer.usage.stage_seconds),
        seconds=seconds,
    )


def _parsed(item: Mapping[str, Any]) -> tuple[str, Row]:
    fields = {name: value for name, value in item.items() if name != "key"}
    tuples = {name: tuple(fields[name]) for name in ("citations", "passages", "texts")}
    return item["key"], Row(**{**fields, **tuples})
