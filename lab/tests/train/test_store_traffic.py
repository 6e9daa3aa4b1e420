"""Questions of a store and of a log, with the passages that the server would find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reader_samples import write_birth_store
from store_helper import build

from expertrag.answer.local_search import search_locally
from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Feedback, GateAction, GateMode, RetrieveRequest
from expertrag.audit.entries import AuditEntry, dump_entry, dump_feedback
from expertrag.config import CANONICAL, Config, LabConfig
from expertrag_index.types import Document, silent
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt
from expertrag_lab.train.store_traffic import (
    StoreQuestion,
    make_questions,
    read_logged,
    store_traffic,
)
from expertrag_retriever.encoder import SentenceTransformerEmbedder

TIME = "2026-01-01T00:00:00+00:00"
QUESTION = "How long may employees be on leave?"


@pytest.fixture(scope="module")
def store(embedder: SentenceTransformerEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of birthdays, and of a document with metadata."""
    text = "Employees may be on leave for up to 30 days a year."
    more = [Document("leave", text, "Leave", metadata={"team": "legal", "year": 2024})]
    return write_birth_store(tmp_path_factory.mktemp("stores") / "people", embedder, more)


def _traffic(store: Path, key: str = "", domain: str = "") -> list[TrafficPrompt]:
    asked = StoreQuestion("1", QUESTION, "30 days", domain)
    return store_traffic(store, "people", [asked], Config(), silent, domain_key=key)


def test_prompts_have_the_passages_of_the_search(store: Path) -> None:
    (item,) = _traffic(store)
    found, _ = search_locally(store, RetrieveRequest(QUESTION), Config())
    texts = [passage.text for passage in item.prompt.passages]
    assert texts[0] == found.result.passages[0].text and len(texts) == Config().search.k
    assert (item.known, item.prompt.answer, item.prompt.cited) == (True, "30 days", (1,))


@pytest.mark.parametrize("wording", [CANONICAL, "as_asked"])
def test_questions_are_written_as_the_server_reads_them(store: Path, wording: str) -> None:
    raw = "Question: how long may employees be on leave"
    config = replace(Config(), lab=LabConfig(wording=wording))
    (item,) = store_traffic(store, "people", [StoreQuestion("1", raw, None)], config, silent)
    read = "How long may employees be on leave?"
    assert item.prompt.question == (read if wording == CANONICAL else raw)


def test_the_domain_is_that_of_the_passage_the_question_or_the_store(store: Path) -> None:
    assert _traffic(store)[0].domain == "people"
    assert _traffic(store, domain="tax")[0].domain == "tax"
    assert _traffic(store, "team", domain="tax")[0].domain == "legal"
    assert _traffic(store, "year")[0].domain == "people"  # no text


def test_questions_are_made_and_drawn(store: Path, tmp_path: Path) -> None:
    few, more = (make_questions(store, tmp_path, limit, 1, silent) for limit in (3, 8))
    assert more[:3] == few and len({item.text for item in more}) == 8
    assert all(item.answer for item in more)


def test_one_question_of_a_store_is_enough(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    small, none = tmp_path / "small", tmp_path / "none"
    build(
        small,
        embedder,
        [Document("1", "## How do I get a key?\n\nWrite to the porter of the house.", "Keys")],
    )
    (asked,) = make_questions(small, tmp_path / "work", None, 1, silent)
    assert (asked.text, asked.answer) == (
        "How do I get a key?",
        "Write to the porter of the house.",
    )
    build(none, embedder, [Document("1", "Nothing.")])
    cure = "add documents to it, or read a log$"
    with pytest.raises(InvalidArgument, match=cure):
        make_questions(none, tmp_path / "work", None, 1, silent, instead="read a log")


def test_a_log_gives_each_question_once(tmp_path: Path) -> None:
    asked = AuditEntry(
        "1", TIME, 1, "gate", GateMode.AUTO, GateAction.RETRIEVE, threshold=0.5, p_benefit=0.9
    )
    entries = [
        replace(asked, question=QUESTION, domains={"legal": 0.6, "tax": 0.4}),
        replace(asked, id="2", question=QUESTION.upper(), domains={"legal": 0.1, "tax": 0.9}),
        replace(asked, id="3", question="And he?", rewritten_question="When was Ada born?"),
        replace(asked, id="4"),
    ]
    log = tmp_path / "audit.jsonl"
    log.write_bytes(b"\n".join(map(dump_entry, entries)))
    assert read_logged(log) == [
        StoreQuestion("2", QUESTION.upper(), None, "tax"),
        StoreQuestion("3", "When was Ada born?", None),
    ]
    said = [Feedback("1", correct_answer="30 days"), Feedback("2", helpful=True)]
    lines = (dump_feedback(item, TIME) for item in said)
    (tmp_path / "feedback.jsonl").write_bytes(b"\n".join(lines))
    assert read_logged(log)[0] == StoreQuestion("1", QUESTION, "30 days", "tax")
    log.write_bytes(dump_entry(entries[-1]))
    (tmp_path / "feedback.jsonl").unlink()
    with pytest.raises(InvalidArgument, match="without texts"):
        read_logged(log)
