"""Answers about a whole document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from serving_fixtures import OpenPipeline, PacedGenerator

from expertrag.answer.whole_document import MOST_POINTS, choose_points, read_sentences
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode


def test_the_main_points_are_cited(open_pipeline: OpenPipeline, company_store: Path) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    request = AnswerRequest(
        "Summarise the plan for the move of the warehouse.", mode=GateMode.ALWAYS
    )
    answer = fold(pipeline.answer(request))
    assert answer.text.startswith("Main points of “Plan for the move of the warehouse”:")
    for fact in ("340,000 EUR", "4 October 2027", "14 people"):
        assert fact in answer.text
    assert answer.complete is True
    assert {one.document_id for one in answer.citations} == {"reports/warehouse.md"}
    text = (company_store.parent / "docs/reports/warehouse.md").read_text()
    for one in answer.citations:
        line = answer.text[one.answer_start : one.answer_end]
        assert text[one.start : one.end] in line


def test_points_are_few_and_from_every_section() -> None:
    text = "\n\n".join(
        f"# Section {section}\n\n"
        + "\n".join(
            f"Sentence {number} of the section {section} says something of its own."
            for number in range(40)
        )
        for section in range(5)
    )
    sentences = read_sentences(text)
    vectors = np.random.default_rng(0).normal(size=(len(sentences), 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    points = choose_points(sentences, vectors, [0.5] * len(sentences))
    assert len(points) == MOST_POINTS
    assert points == sorted(points)
    assert {sentences[at].heading for at in points} == {f"Section {number}" for number in range(5)}


def test_an_empty_document_has_no_points() -> None:
    assert read_sentences("# Title\n\nShort.") == []
    assert choose_points([], np.zeros((0, 4), np.float32), []) == []
