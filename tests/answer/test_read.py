"""A question is routed once, and the decision and the log record the route."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from serving_fixtures import PacedGenerator

from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.answer.read import route
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.audit import Audit
from expertrag.audit.entries import parse_entry
from expertrag.cli.answer_lines import decision_lines
from expertrag.config.service import AuditConfig
from expertrag.runtime.meter import Meter
from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import Document
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.encoder import SentenceTransformerEmbedder

TAX = AnswerRequest("Is a Roth IRA or a 401k better for tax on dividends?")
EXPERTS = ("shared", "finance", "base")


def test_the_likeliest_domain_answers(shipped: SentenceTransformerEmbedder) -> None:
    meter = Meter()
    found = route(shipped, TAX, EXPERTS, meter)
    assert found.expert == max(found.domains, key=found.domains.__getitem__) == "finance"
    assert {*found.domains} == {*shipped.experts, "general"}
    assert list(meter.usage().stage_seconds) == ["route"]


def test_the_caller_chooses_the_expert(shipped: SentenceTransformerEmbedder) -> None:
    asked = AnswerRequest(TAX.question, domain="legal")
    found = route(shipped, asked, (*EXPERTS, "legal"), Meter())
    assert found.expert == "legal" and found.domains["finance"] > 0.5
    assert route(shipped, asked, EXPERTS, Meter()).expert == "shared"  # it has no such expert


def test_a_plain_language_model_has_no_expert(shipped: SentenceTransformerEmbedder) -> None:
    found = route(shipped, TAX, (), Meter())
    assert found.expert is None and found.domains["finance"] > 0.5


def test_closed_book_is_routed_where_a_domain_answers_it(
    shipped: SentenceTransformerEmbedder,
) -> None:
    asked, meter = AnswerRequest(TAX.question, GateMode.NEVER), Meter()
    assert route(shipped, asked, EXPERTS, meter).domains == {}
    assert meter.usage().stage_seconds == {}
    assert route(shipped, asked, ("shared", "finance"), meter).expert == "finance"


def test_the_domain_chooses_the_pattern(shipped: SentenceTransformerEmbedder) -> None:
    patterns = ("finance", "legal")
    found = route(shipped, TAX, (), Meter(), patterns)
    assert (found.expert, found.pattern, found.answers) == (None, "finance", "finance")
    closed = AnswerRequest(TAX.question, GateMode.NEVER)
    assert route(shipped, closed, (), Meter(), patterns).pattern == "finance"
    asked = AnswerRequest(TAX.question, domain="legal")
    assert route(shipped, asked, (), Meter(), patterns).pattern == "legal"
    assert route(shipped, TAX, (), Meter(), ("legal",)).pattern is None


def test_without_a_router_only_the_caller_chooses_a_pattern(
    embedder: SentenceTransformerEmbedder,
) -> None:
    assert route(embedder, TAX, (), Meter(), ("finance",)).pattern is None
    asked = AnswerRequest(TAX.question, domain="finance")
    assert route(embedder, asked, (), Meter(), ("finance",)).pattern == "finance"


def test_without_a_router_the_shared_expert_answers(embedder: SentenceTransformerEmbedder) -> None:
    meter = Meter()
    found = route(embedder, TAX, EXPERTS, meter)
    assert (found.domains, found.expert) == ({}, "shared")
    assert meter.usage().stage_seconds == {}


def _store(folder: Path, embedder: SentenceTransformerEmbedder) -> Path:
    with IndexWriter.open(folder, embedder, calibrate=calibrator(embedder)) as writer:
        text = "Dividends of a Roth IRA are free of tax."
        writer.build([Document(id="tax", text=text, title="Tax", source="tax.txt")], failures=[])
    return folder


def test_the_decision_and_the_log_record_the_pattern(
    shipped: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    store, log = _store(tmp_path / "store", shipped), tmp_path / "audit.jsonl"
    model = PacedGenerator()
    model.patterns = ("finance",)
    audit = Audit.of(AuditConfig(path=str(log)))
    with closing(Pipeline(store, PipelineModels(shipped, model), audit=audit)) as pipeline:
        for mode in GateMode:
            answer = fold(pipeline.answer(AnswerRequest(TAX.question, mode)))
            assert answer.decision.pattern == "finance" and answer.decision.expert is None
            assert "Experts: those that matter to finance" in decision_lines(answer.decision)
        other = pipeline.decide("Is a Roth IRA free of tax?", domain="legal")
        assert other.pattern is None
        assert not any(line.startswith("Experts") for line in decision_lines(other))
    entries = list(map(parse_entry, log.read_bytes().splitlines()))
    assert [entry.pattern for entry in entries] == ["finance"] * len(GateMode) + [None]


def test_the_decision_and_the_log_record_the_route(
    shipped: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    store, log = _store(tmp_path / "store", shipped), tmp_path / "audit.jsonl"
    model = PacedGenerator()
    model.experts = EXPERTS
    audit = Audit.of(AuditConfig(path=str(log)))
    with closing(Pipeline(store, PipelineModels(shipped, model), audit=audit)) as pipeline:
        for mode in GateMode:
            answer = fold(pipeline.answer(AnswerRequest(TAX.question, mode)))
            assert ("route" in answer.usage.stage_seconds) == (mode is not GateMode.NEVER)
            decided = pipeline.decide(TAX.question, mode)
            assert decided.domains == answer.decision.domains
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if line["mode"] == "never":
            assert "domains" not in line and line["expert"] == "shared"
        else:
            assert line["domains"]["finance"] > 0.5 and line["expert"] == "finance"
