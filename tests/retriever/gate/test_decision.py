"""The gate on a real store with the real embedder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_helper import build

from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.gate import Gate, calibrate_coverage
from expertrag_retriever.gate.constants import CONSTANTS
from expertrag_retriever.gate.coverage import DEFAULT, read_coverage
from expertrag_retriever.types import (
    GateAction,
    GateDecision,
    GateMode,
    PrefillSignals,
    StoreSignals,
)

TOPICS = {
    "partial-index": "A partial index is built over a subset of a table. CREATE INDEX takes a "
    "WHERE clause that tells which rows the index holds.",
    "vacuum": "VACUUM reclaims storage occupied by dead tuples. Plain VACUUM does not lock the "
    "table, so that it runs in parallel with reads and writes.",
    "isolation": "PostgreSQL has three transaction isolation levels: read committed, repeatable "
    "read and serializable. Read committed is the default.",
    "grant": "GRANT gives a role privileges on a table, a schema or a database. REVOKE takes "
    "privileges away again.",
    "replication": "Streaming replication sends write-ahead log records to a standby server. "
    "The standby replays them and answers read-only queries.",
    "dump": "pg_dump writes a database to a file. pg_restore reads an archive that pg_dump made.",
    "explain": "EXPLAIN shows the query plan of a statement. ANALYZE runs it and shows times.",
    "json": "The jsonb type stores JSON in a binary form that can be indexed. The json type "
    "keeps the text as it was.",
    "tar": "The tar command packs files into an archive. Extract an archive into a directory "
    "with tar -x -f archive.tar -C directory.",
    "chown": "chown changes the owner of a file. chown -R works on a whole directory tree.",
    "grep": "grep searches files for a pattern. grep -r searches a directory recursively.",
    "kill": "pkill ends processes by name. kill sends a signal to a process by its number.",
}
ABOUT = [
    "How do I create a partial index in PostgreSQL?",
    "What does VACUUM do in PostgreSQL?",
    "How do I extract a tar archive into a directory?",
    "Which transaction isolation levels does PostgreSQL have?",
    "How do I search for a pattern in a directory?",
    "Which command dumps a database?",
]
UNRELATED = [
    "Say hello in French.",
    "What is 7 plus 5?",
    "What is the capital of France?",
    "Write a haiku about autumn.",
    "Who won the football World Cup in 1998?",
    "How do I make scrambled eggs?",
]
Decide = Callable[..., GateDecision]
UNSURE = PrefillSignals(margin=0.2, entropy=2.5, max_probability=0.4, tokens=6)
SURE = PrefillSignals(margin=0.98, entropy=0.05, max_probability=0.99, tokens=6)


def build_calibrated(
    path: Path, embedder: SentenceTransformerEmbedder, documents: list[Document]
) -> None:
    build(
        path,
        embedder,
        documents,
        calibrate=lambda built: {"coverage": calibrate_coverage(built, embedder)},
    )


@pytest.fixture(scope="module")
def index(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceTransformerEmbedder
) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("gate") / "store"
    documents = [Document(name, text, title=name) for name, text in TOPICS.items()]
    build_calibrated(path, embedder, documents)
    with Index.open(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def gate(index: Index) -> Gate:
    return Gate(index)


@pytest.fixture(scope="module")
def decide(gate: Gate, embedder: SentenceTransformerEmbedder) -> Decide:
    """Decides on a question, by default over ``TOPICS`` and with an unsure model."""

    def made(
        question: str, prefill: PrefillSignals | None = UNSURE, *, on: Gate = gate
    ) -> GateDecision:
        store = on.store_signals(question, embedder.encode_query(question))
        return on.decide(GateMode.AUTO, prefill=prefill, store=store)

    return made


@pytest.mark.parametrize("question", ABOUT)
def test_a_question_about_the_documents_retrieves(decide: Decide, question: str) -> None:
    decision = decide(question)
    assert decision.action is GateAction.RETRIEVE, decision
    assert "about the documents" in decision.reason


@pytest.mark.parametrize("question", UNRELATED)
def test_an_unrelated_question_does_not_retrieve(decide: Decide, question: str) -> None:
    decision = decide(question)
    assert decision.action is GateAction.CLOSED_BOOK, decision
    assert "not about the documents" in decision.reason


def test_a_single_chunk_on_a_subject_is_found(
    tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    """No other chunk has its subject, and it shares no words with the question."""
    notes = [
        Document(f"{name} {number}", f"{text} Note {number}.", title=name)
        for number in range(20)
        for name, text in TOPICS.items()
    ]
    entry = Document("faq", "Q: May I bring my dog to the office? A: On Fridays.", source="faq.md")
    build_calibrated(tmp_path / "store", embedder, [*notes, entry])
    question = "On which days are dogs allowed at work?"
    vector = embedder.encode_query(question)
    with Index.open(tmp_path / "store") as index:
        gate = Gate(index)
        seen = gate.store_signals(question, vector)
        assert gate.decide(GateMode.AUTO, prefill=UNSURE, store=seen).retrieve
        elsewhere = gate.store_signals(question, vector, {"source": {"$ne": "faq.md"}})
        assert elsewhere.similarity < seen.similarity - 0.2
        assert not gate.decide(GateMode.AUTO, prefill=UNSURE, store=elsewhere).retrieve


@pytest.mark.parametrize("question", ["", "???", "how are you", "\x00", "x" * 30_000])
def test_odd_questions_get_a_decision(decide: Decide, question: str) -> None:
    assert not decide(question).retrieve


def test_signals_are_in_their_ranges(decide: Decide, gate: Gate) -> None:
    decision = decide(ABOUT[0])
    of_store = {"similarity", "coverage", "term_coverage", "background_similarity", "p_documents"}
    assert set(decision.signals) == of_store | {"margin", "entropy", "max_probability", "tokens"}
    for name in ("coverage", "term_coverage", "margin", "max_probability", "p_documents"):
        assert 0.0 <= decision.signals[name] <= 1.0
    assert decision.p_benefit is not None
    assert decision.p_correct_closed_book is not None
    expected = decision.signals["p_documents"] * (1 - decision.p_correct_closed_book)
    assert decision.p_benefit == pytest.approx(expected)
    assert decision.threshold == CONSTANTS.threshold
    assert decision.calibrator == gate.name


@pytest.mark.parametrize(
    ("mode", "action"),
    [
        (GateMode.NEVER, GateAction.CLOSED_BOOK),
        (GateMode.ALWAYS, GateAction.RETRIEVE),
        (GateMode.STRICT, GateAction.RETRIEVE),
    ],
)
def test_a_forced_mode_is_obeyed(gate: Gate, mode: GateMode, action: GateAction) -> None:
    decision = gate.decide(mode, prefill=SURE, store=None, threshold=0.9)
    assert (decision.action, decision.mode) == (action, mode)
    assert decision.threshold is decision.p_benefit is decision.p_correct_closed_book is None
    assert decision.reason.startswith("The caller")


def test_a_threshold_that_overrules_the_evidence_is_named(
    gate: Gate, embedder: SentenceTransformerEmbedder
) -> None:
    about, unrelated = (
        gate.store_signals(question, embedder.encode_query(question))
        for question in (ABOUT[0], UNRELATED[0])
    )
    closed = gate.decide(GateMode.AUTO, prefill=UNSURE, store=about, threshold=1.0)
    assert (closed.retrieve, closed.threshold) == (False, 1.0)
    assert "is below the threshold 1.00, so the model answers alone" in closed.reason
    consulted = gate.decide(GateMode.AUTO, prefill=UNSURE, store=unrelated, threshold=0.0)
    assert (consulted.retrieve, consulted.threshold) == (True, 0.0)
    assert re.search(r"reaches the threshold 0\.0+, so they are consulted", consulted.reason)


def test_a_sure_model_decides_a_doubtful_case(gate: Gate) -> None:
    coverage = read_coverage(gate._index.manifest.calibration, gate._index.dimension)
    contrast = coverage.nearness
    middle = (contrast.about.mean + contrast.unrelated.mean) / 2 - 0.02
    words = (coverage.terms.about.mean + coverage.terms.unrelated.mean) / 2
    doubtful = StoreSignals(similarity=middle, coverage=0.1, term_coverage=words)
    unsure, sure = (
        gate.decide(GateMode.AUTO, prefill=prefill, store=doubtful) for prefill in (UNSURE, SURE)
    )
    assert unsure.retrieve
    assert "unsure" in unsure.reason
    assert not sure.retrieve
    assert "but the model is fairly sure of its own answer (margin 0.98)" in sure.reason


def test_a_sure_model_is_no_reason_to_retrieve(decide: Decide) -> None:
    decision = decide(ABOUT[0], prefill=SURE)
    assert decision.retrieve
    assert decision.reason.startswith("The question is about the documents (coverage ")
    model = "the model is fairly sure of its own answer (margin 0.98)."
    assert decision.reason.endswith(f"), so they are consulted although {model}")


def test_the_reason_names_missing_signals(decide: Decide, gate: Gate) -> None:
    without_model = decide(ABOUT[0], prefill=None)
    assert without_model.retrieve
    assert "does not report its confidence" in without_model.reason
    assert "margin" not in without_model.signals

    without_store = gate.decide(GateMode.AUTO, prefill=UNSURE, store=None)
    assert without_store.retrieve
    assert "not known" in without_store.reason
    assert gate.decide(GateMode.AUTO, prefill=None, store=None).retrieve


def test_a_reason_is_one_sentence_without_the_question(decide: Decide) -> None:
    for question in (ABOUT[0], UNRELATED[0]):
        reason = decide(question).reason
        assert reason.endswith(".")
        assert ". " not in reason
        assert question not in reason


def test_a_store_without_calibration_uses_the_defaults(
    decide: Decide, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    build(tmp_path / "store", embedder, [Document(name, text) for name, text in TOPICS.items()])
    with Index.open(tmp_path / "store") as index:
        assert read_coverage(index.manifest.calibration, index.dimension) is DEFAULT
        assert decide(ABOUT[0], on=Gate(index)).retrieve
        assert not decide(UNRELATED[0], on=Gate(index)).retrieve


def test_an_empty_store_is_never_consulted(
    decide: Decide, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    build_calibrated(tmp_path / "store", embedder, [])
    with Index.open(tmp_path / "store") as index:
        assert not decide(ABOUT[0], on=Gate(index)).retrieve
