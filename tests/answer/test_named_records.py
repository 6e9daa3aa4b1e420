"""The records that a question names, among the passages of an answer."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag.api.access import Access
from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode, QuestionScope
from expertrag.audit import NOBODY
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.loaders.load import load
from expertrag_retriever.encoder import SentenceTransformerEmbedder

PEOPLE = 60
QUESTION = "In which town does Ada Lund live?"


@pytest.fixture(scope="module")
def staff_store(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceTransformerEmbedder
) -> Path:
    """A list of people, and short notes that repeat a name."""
    folder = tmp_path_factory.mktemp("staff")
    docs = folder / "docs"
    docs.mkdir()
    people = [("Lund", "Ada", "Esker"), *((f"Voss{n}", f"Jo{n}", "Oslo") for n in range(PEOPLE))]
    rows = "".join(f"{' | '.join(map(str, person))}\n" for person in people)
    text = f"# Staff\n\nSurname | First name | Town\n--- | --- | ---\n{rows}"
    (docs / "staff.md").write_text(text)
    (docs / "board.md").write_text(
        "---\nlabels: [board]\n---\n# Bonuses\n\nSurname | First name | Bonus\n"
        "--- | --- | ---\nLund | Ada | 77001\nVoss1 | Jo1 | 77002\n"
    )
    notes = "note,signed\n" + "".join(
        f"Ada Lund lives and Ada Lund signs {n},Ada Lund\n" for n in range(9)
    )
    (docs / "notes.csv").write_text(notes)
    with IndexWriter.open(folder / "store", embedder) as writer:
        limits = ReadLimits(labels_field="labels")
        writer.build(load([docs], on_failure=lambda _: None, limits=limits))
    return folder / "store"


def ask(
    open_pipeline: OpenPipeline, store: Path, labels: frozenset[str], request: AnswerRequest
) -> Answer:
    pipeline = open_pipeline(TellingGenerator("Esker."), store=store)
    return fold(pipeline.serving(Access(labels=labels), NOBODY).answer(request))


def test_the_row_of_a_full_name_stands_first(
    open_pipeline: OpenPipeline, staff_store: Path
) -> None:
    request = AnswerRequest(QUESTION, mode=GateMode.ALWAYS, scope=QuestionScope.LOOKUP)
    answer = ask(open_pipeline, staff_store, frozenset(), request)
    row = answer.passages[0]
    assert (row.document_id, row.title) == ("staff.md", "Ada Lund")
    assert row.text == "Surname: Lund | First name: Ada | Town: Esker"
    assert row.end - row.start == len(row.text)
    assert answer.usage.retrieval_calls == 1


def test_a_record_that_a_caller_may_not_see_is_not_added(
    open_pipeline: OpenPipeline, staff_store: Path
) -> None:
    request = AnswerRequest(
        "What is the bonus of Ada Lund?", mode=GateMode.ALWAYS, scope=QuestionScope.LOOKUP
    )
    seen = ask(open_pipeline, staff_store, frozenset({"board"}), request)
    assert "77001" in json.dumps(asdict(seen), default=str)
    hidden = ask(open_pipeline, staff_store, frozenset(), request)
    assert "77001" not in json.dumps(asdict(hidden), default=str)


def test_a_question_about_a_set_gets_no_record(
    open_pipeline: OpenPipeline, staff_store: Path
) -> None:
    request = AnswerRequest(
        "Who signs with Ada Lund?", mode=GateMode.ALWAYS, scope=QuestionScope.LIST
    )
    answer = ask(open_pipeline, staff_store, frozenset(), request)
    assert all(passage.title != "Ada Lund" for passage in answer.passages)
