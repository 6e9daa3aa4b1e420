"""The folders on disk, their stores, and the answers to questions, kept a line each.

WORK/many/FOLDER-HASH                 the files; HASH covers their content
WORK/many/store-FOLDER-HASH           their store; HASH covers the code that builds it, too
WORK/many/answers/MODEL-HASH.jsonl    the answers; HASH covers all code of the service
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import results_file
from eval_answers import config_of
from many.answer import Given
from many.question import Files, Question

from expertrag.answer.assemble import open_pipeline
from expertrag.answer.pipeline import Pipeline
from expertrag.api.access import EVERYTHING, Access
from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode
from expertrag.audit import NOBODY
from expertrag.config import Config
from expertrag.models.shipped import SHIPPED_FOLDER
from expertrag.runtime.error_mapping import translate_errors
from expertrag.stores.embedders import open_embedder
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders import load
from expertrag_index.loaders.limits import DEFAULT_LIMITS
from expertrag_index.types import LoadFailure, Progress
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.eval.manifest import inputs_id
from expertrag_retriever.calibrate import calibrator

INDEXING = ("index/expertrag_index", "retriever/expertrag_retriever", "common")
SERVICE = ("expertrag", "kernels/expertrag_kernels", *INDEXING)
"""Code between a question and its answer; kept answers of other code are not reused."""
LABEL = "board"
"""The access label of the files that a restricted caller must not see."""


def write_folder(target: Path, files: Files) -> None:
    """Write files, unless they are there already."""
    done = target / ".complete"
    if done.exists():
        return
    shutil.rmtree(target, ignore_errors=True)
    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    done.touch()


def prepare(
    work: Path, name: str, files: Files, report: Progress, *, hidden: Files | None = None
) -> Path:
    """Write the files of a folder and build their store; return it.

    :param hidden: more files, with an access label.
    """
    every = {f"open/{path}": content for path, content in files.items()}
    every |= {f"hidden/{path}": content for path, content in (hidden or {}).items()}
    target = work / f"{name}-{_hash(every)}"
    write_folder(target, every)
    code = [results_file.code_hash(path) for path in INDEXING]
    store = work / f"store-{name}-{inputs_id({'files': target.name, 'code': [*code]})}"
    built = store.with_suffix(".built")
    if built.exists():
        return store
    embedder = open_embedder(Config().model, None)
    failures: list[LoadFailure] = []
    labelled = replace(DEFAULT_LIMITS, labels=(LABEL,))
    store.parent.mkdir(parents=True, exist_ok=True)
    with (
        translate_errors(),
        IndexWriter.open(
            store, embedder, calibrate=calibrator(embedder), progress=report
        ) as writer,
    ):
        documents = load([target / "open"], on_failure=failures.append)
        if hidden:
            more = load([target / "hidden"], on_failure=failures.append, limits=labelled)
            documents = chain(documents, more)
        writer.build(documents, failures)
    if lost := [failure for failure in failures if not failure.notice]:
        raise RuntimeError(f"{name}: {lost[0]}")
    built.touch()
    return store


def opened(model: str, store: Path) -> Pipeline:
    """Open the pipeline with the defaults of the service, except the language model."""
    return open_pipeline(replace(config_of(model), index=str(store)))


class Answers:
    """The answers of a model, kept in a file, so that an interrupted run can be resumed."""

    def __init__(self, work: Path, model: str) -> None:
        self._model = model
        code = [results_file.code_hash(path) for path in SERVICE]
        code += [path.read_text("utf-8") for path in sorted(SHIPPED_FOLDER.glob("*/SHA256SUMS"))]
        self.path = work / "answers" / f"{model}-{inputs_id({'code': [*code]})}.jsonl"

    def ask(
        self,
        store: Path,
        asked: Sequence[tuple[Question, GateMode]],
        report: Progress,
        access: Access = EVERYTHING,
    ) -> list[Given]:
        """Answer questions on a store; kept answers are reused."""
        with appending(self.path) as file:
            known = read_results(self.path, _parsed)
            keys = [f"{store.name}/{mode}/{item.key}" for item, mode in asked]
            missing = [
                (key, *pair) for key, pair in zip(keys, asked, strict=True) if key not in known
            ]
            if missing:
                with closing(opened(self._model, store)) as pipeline:
                    caller = pipeline.serving(access, NOBODY)
                    for done, (key, item, mode) in enumerate(missing, start=1):
                        given = known[key] = ask(
                            caller,
                            item.id,
                            AnswerRequest(item.text, mode=mode, filter=dict(item.filter)),
                        )
                        line = json.dumps({"key": key, **asdict(given)}, default=str)
                        file.write(f"{line}\n")
                        file.flush()
                        report(f"{self._model}, {store.name.split('-')[1]}", done, len(missing))
        pairs = zip(keys, asked, strict=True)
        return [replace(known[key], id=item.id) for key, (item, _) in pairs]


def ask(pipeline: Pipeline, name: str, request: AnswerRequest) -> Given:
    """Answer a request; an error is kept as the answer."""
    began = time.monotonic()
    mode = str(request.mode)
    try:
        answer = fold(pipeline.answer(request))
    except Exception as error:  # a defect in one answer must not end a run of hours
        return Given(name, mode, seconds=time.monotonic() - began, error=repr(error))
    return _given(name, mode, answer, time.monotonic() - began)


def _given(name: str, mode: str, answer: Answer, seconds: float) -> Given:
    table, coverage, decision = answer.table, answer.coverage, answer.decision
    return Given(
        name,
        mode,
        text=answer.text,
        finish_reason=str(answer.finish_reason),
        scope=str(decision.scope or ""),
        action=str(decision.action),
        columns=table.columns if table else (),
        rows=table.rows if table else (),
        query=answer.query,
        coverage=asdict(coverage) if coverage else None,
        unsupported_reason=answer.unsupported_reason,
        from_documents=answer.from_documents,
        support=answer.support,
        cited_texts=tuple(
            answer.text[item.answer_start : item.answer_end] for item in answer.citations
        ),
        citations=len(answer.citations) + (len(table.sources) if table else 0),
        passages=tuple(item.document_id for item in answer.passages),
        stage_seconds=dict(answer.usage.stage_seconds),
        seconds=seconds,
    )


def _parsed(item: Mapping[str, Any]) -> tuple[str, Given]:
    fields = {name: value for name, value in item.items() if name != "key"}
    fields |= {name: tuple(fields[name]) for name in ("columns", "cited_texts", "passages")}
    return item["key"], Given(**{**fields, "rows": tuple(map(tuple, fields["rows"]))})


def _hash(files: Files) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]
