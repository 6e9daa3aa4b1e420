"""Answers in several languages as served, whether each is right, and the signals of each.

Half of the paragraphs of XQuAD in a language are a store. Questions on the others have no answer
there. Rows are kept, so an interrupted run can be resumed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import results_file
from confidence_rows import Recorder, StateRecorder
from mixed_store import build
from office_answers import ANSWERING, opened

from expertrag.answer.assemble import confidence_owner
from expertrag.answer.generate import Answering
from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateAction, GateMode
from expertrag.config import ModelConfig
from expertrag.llm.probe import Owner
from expertrag.stores.embedders import open_embedder
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import Dataset, Query, load_dataset, sample
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.eval.manifest import inputs_id
from expertrag_lab.json_lines import write_lines
from expertrag_lab.metrics import squad

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """An answer in mode ALWAYS.

    ``answerable``: whether the store has the question's paragraph. ``right``: whether the answer
    contains an accepted one. ``cited``: whether it cites that paragraph. ``p_sufficient``: the
    probability that the passages hold the answer. ``signals`` and ``compared``: before and after a
    comparison with the answer of more passages; both are empty if the model abstained. ``state``
    [2 D]: what the verifier reads. ``benefit``: the gate's estimate; None if it has none.
    """

    answerable: bool
    right: bool
    abstained: bool
    cited: bool
    p_sufficient: float | None
    answer: str
    signals: Mapping[str, float]
    compared: Mapping[str, float]
    state: Sequence[float]
    benefit: float | None
    retrieves: bool
    seconds: float


def language_rows(
    language: str, split: str, count: int, data: Path, model: str, work: Path, report: Progress
) -> list[LanguageRow]:
    """Ask the same questions in a language: ``count`` with an answer, and half as many without."""
    dataset = load_dataset(data / f"xquad_{language}", split)
    store = _store(dataset, language, work / "languages" / "answers", report)
    with closing(opened(model, store)) as pipeline:
        asked = _questions(dataset, count)
        name = f"{language}-{split}"
        return _answered(pipeline, name, asked, dataset, work / "languages", report)


def _held(document: str) -> bool:
    """Whether a paragraph is in the store: each second one."""
    return int(document.removeprefix("p")) % 2 == 0


def _questions(dataset: Dataset, count: int) -> list[Query]:
    """Return the same questions in each language, as they have the same ids."""
    ordered = sorted(dataset.judged, key=lambda query: query.id)
    held = [query for query in ordered if _answerable(dataset, query)]
    others = [query for query in ordered if not _answerable(dataset, query)]
    return sample(held, count, 0) + sample(others, count // 2, 0)


def _answerable(dataset: Dataset, query: Query) -> bool:
    return all(map(_held, dataset.relevant(query.id)))


def _store(dataset: Dataset, language: str, work: Path, report: Progress) -> Path:
    documents = work / "documents" / language
    if not documents.exists():
        documents.mkdir(parents=True)
        held = [{"_id": d.id, "text": d.text} for d in dataset.documents() if _held(d.id)]
        write_lines(documents / "corpus.jsonl", held)
    name = "minilm-domains" if language == ENGLISH else "multilingual-e5-small"
    embedder = open_embedder(ModelConfig(embedder=name), None)
    return build(documents, work / "stores" / language, embedder, report)


def _answered(
    pipeline: Pipeline,
    name: str,
    asked: Sequence[Query],
    dataset: Dataset,
    work: Path,
    report: Progress,
) -> list[LanguageRow]:
    owner = confidence_owner(pipeline._generator)
    inputs = {**asdict(owner), "set": name, "code": [results_file.code_hash(p) for p in ANSWERING]}
    path = work / f"{name}-{inputs_id(inputs)}.jsonl"
    with appending(path) as file:
        known = read_results(path, lambda item: (item["key"], LanguageRow(**item["row"])))
        missing = [query for query in asked if query.id not in known]
        for done, query in enumerate(missing, start=1):
            row = known[query.id] = _answer(pipeline, query, dataset)
            file.write(json.dumps({"key": query.id, "row": asdict(row)}, ensure_ascii=False) + "\n")
            file.flush()
            report(f"answers, {name}", done, len(missing))
    return [known[query.id] for query in asked]


def _answer(pipeline: Pipeline, query: Query, dataset: Dataset) -> LanguageRow:
    """Answer a question, and compare the answer with the one of more passages in any case."""
    reading = pipeline._reading
    states = StateRecorder(np.zeros(0, np.float32), 0.0, Owner("", "", ""))
    recorder = Recorder({}, 0.0, 0.0, 0.0, 0.0, confidence_owner(pipeline._generator), states)
    pipeline._answering = Answering(
        pipeline._generator, replace(reading, confidence=recorder), pipeline._decider
    )
    decision = pipeline.decide(query.text, GateMode.AUTO)
    began = time.monotonic()
    answer = fold(pipeline.answer(AnswerRequest(query.text, mode=GateMode.ALWAYS)))
    relevant = dataset.relevant(query.id)
    return LanguageRow(
        answerable=_answerable(dataset, query),
        right=squad.contains(answer.text, query.answers or ()),
        abstained=answer.abstained,
        cited=any(citation.document_id in relevant for citation in answer.citations),
        p_sufficient=answer.p_sufficient,
        answer=answer.text,
        signals=recorder.seen[0] if recorder.seen else {},
        compared=recorder.seen[-1] if recorder.seen else {},
        state=states.seen[-1] if states.seen else (),
        benefit=decision.p_benefit,
        retrieves=decision.action is GateAction.RETRIEVE,
        seconds=time.monotonic() - began,
    )
