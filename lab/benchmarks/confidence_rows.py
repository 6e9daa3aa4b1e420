"""Answers from documents as served, whether each is right, and what is known once it is written.

Questions of the half ``choose`` of the office share; train questions of the store of many sources,
a part of which it does not answer; and how-to questions about the manuals in that store. Rows are
kept, so an interrupted run can be resumed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import manual_questions
import numpy as np
import results_file
from mixed_store import GENERAL, build, questions, scored, write_documents
from office_answers import ANSWERING, opened, prepare
from office_questions import is_right
from office_questions import questions as office_questions
from verification_rows import rounded

from expertrag.answer.assemble import confidence_owner
from expertrag.answer.generate import Answering
from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.turns import Turn
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.config import Config
from expertrag.llm.confidence import Confidence, ConfidenceOwner
from expertrag.llm.probe import Owner, Probe
from expertrag.stores.embedders import open_embedder
from expertrag_index.types import FloatArray, Progress
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.eval.manifest import inputs_id
from expertrag_lab.metrics import squad

OFFICE, MIXED, MANUALS = "office", "mixed", "manuals"
MIXED_QUESTIONS, MANUAL_QUESTIONS = 200, 80


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a set; ``answers`` are accepted by its rules, none if it has no answer.

    Of a how-to question, they are the words that a right answer has.
    """

    key: str
    text: str
    history: tuple[Turn, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer: whether it is right, its signals, and the state [2 D] that a verifier reads.

    ``compared``: the signals after it was compared with the answer of more passages. All are empty
    if the model abstained, or explained.
    """

    right: bool
    signals: Mapping[str, float]
    compared: Mapping[str, float]
    state: Sequence[float]


@dataclass(frozen=True, slots=True, eq=False)
class _StateRecorder(Probe):
    """Keeps the hidden states that it is shown."""

    seen: list[Sequence[float]] = field(default_factory=list)

    def probability(self, vectors: Mapping[str, FloatArray]) -> float:
        self.seen.append(rounded(vectors))
        return 0.5


@dataclass(frozen=True, slots=True)
class _Recorder(Confidence):
    """Keeps the signals of answers, and calls none of them right, so that all are compared."""

    seen: list[Mapping[str, float]] = field(default_factory=list)

    def probability(self, signals: Mapping[str, float]) -> float:
        self.seen.append(dict(signals))
        return 0.0


def judged_rows(name: str, data: Path, model: str, work: Path, report: Progress) -> list[Judged]:
    """Answer the questions of a set from documents; kept rows are reused."""
    with closing(opened(model, _store(name, data, work, report))) as pipeline:
        asked = {OFFICE: _office, MIXED: _mixed, MANUALS: _manuals}[name](data)
        return _answered(pipeline, name, asked, work / "confidence", report)


def _answered(
    pipeline: Pipeline, name: str, asked: Sequence[Asked], work: Path, report: Progress
) -> list[Judged]:
    owner = confidence_owner(pipeline._generator)
    inputs = {**asdict(owner), "set": name, "code": [results_file.code_hash(p) for p in ANSWERING]}
    path = work / f"{name}-{inputs_id(inputs)}.jsonl"
    with appending(path) as file:
        known = read_results(path, lambda item: (item["key"], Judged(**item["row"])))
        missing = [item for item in asked if item.key not in known]
        for done, item in enumerate(missing, start=1):
            row = known[item.key] = _answer(pipeline, name, item, owner)
            file.write(json.dumps({"key": item.key, "row": asdict(row)}) + "\n")
            file.flush()
            report(f"answers, {name}", done, len(missing))
    return [known[item.key] for item in asked]


def _answer(pipeline: Pipeline, name: str, item: Asked, owner: ConfidenceOwner) -> Judged:
    states = _StateRecorder(np.zeros(0, np.float32), 0.0, Owner("", "", ""))
    recorder = _Recorder({}, 0.0, 0.0, 0.0, 0.0, owner, states)
    reading = replace(pipeline._reading, confidence=recorder)
    pipeline._answering = Answering(pipeline._generator, reading, pipeline._decider)
    request = AnswerRequest(item.text, mode=GateMode.ALWAYS, history=item.history)
    answer = fold(pipeline.answer(request))
    right = _is_right(name, item, answer.text)
    if answer.abstained or not recorder.seen:
        return Judged(right, {}, {}, ())
    return Judged(right, recorder.seen[0], recorder.seen[-1], states.seen[-1])


def _store(name: str, data: Path, work: Path, report: Progress) -> Path:
    if name == OFFICE:
        return prepare(work / "office", report)
    write_documents(data, work / "mixed" / "documents")
    embedder = open_embedder(Config().model, None)
    return build(work / "mixed" / "documents", work / "mixed" / "store", embedder, report)


def _office(_data: Path) -> list[Asked]:
    return [
        Asked(item.id, item.question, item.history, item.answers or ())
        for item in office_questions()
        if item.half == "choose" and item.kind != GENERAL
    ]


def _mixed(data: Path) -> list[Asked]:
    every = [
        Asked(f"{kind}/{item.query.id}", item.query.text, (), item.query.answers or ())
        for kind, some in questions(data, "train").items()
        if kind != GENERAL
        for item in some
        if scored(item)
    ]
    return random.Random(0).sample(every, min(len(every), MIXED_QUESTIONS))


def _manuals(data: Path) -> list[Asked]:
    return [
        Asked(item.id, item.text, (), item.words)
        for item in manual_questions.questions(data, MANUAL_QUESTIONS)
    ]


def _is_right(name: str, asked: Asked, text: str) -> bool:
    if not asked.answers:
        return False
    if name == MANUALS:
        return manual_questions.is_right(text, asked.answers)
    if name == MIXED:
        return squad.right(text, asked.answers)
    question = next(item for item in office_questions() if item.id == asked.key)
    return is_right(question, text, abstained=False)
