"""The questions of ``eval-mixed``: their number, and their answers in the named documents."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from check_mixed import MATERIAL, OFFICE, Question, corpus, office_texts, read, unheld

from expertrag_lab.metrics.squad import VERDICTS, contains, normalise

ROOT = Path(__file__).parents[3]
QUESTIONS = read(OFFICE / "questions.jsonl")
MANUALS = read(MATERIAL / "manuals.jsonl")
GENERAL = read(MATERIAL / "general.jsonl")
SHOWN = ROOT / "examples" / "documents"


def test_office_answers_are_in_their_loaded_documents() -> None:
    texts = office_texts()
    assert unheld(QUESTIONS, texts) == []
    asked = {name.partition("#")[0] for item in QUESTIONS for name in item.documents}
    assert asked == {name.partition("#")[0] for name in texts}, "a file that nothing is asked of"
    assert asked == {path.name for path in (OFFICE / "documents").iterdir()}


def test_manual_answers_are_in_the_demo_manuals() -> None:
    texts = dict(pair for path in SHOWN.glob("*.jsonl.gz") for pair in corpus(path))
    shown = [item for item in MANUALS if set(item.documents) <= set(texts)]
    assert len(shown) >= 20
    assert unheld(shown, texts) == []


def test_a_missing_answer_is_reported() -> None:
    texts = office_texts()
    number = next(item for item in QUESTIONS if item.metadata["kind"] == "number")
    verdict = next(item for item in QUESTIONS if item.metadata["kind"] == "yes_no")
    wrong = [
        replace(number, id="a", answers=("4711 hours",)),
        replace(number, id="b", documents=("glossary.json#1",)),
        replace(verdict, id="c", documents=("lost.md",)),
        replace(number, id="d", documents=()),
    ]
    named = [line.partition(":")[0] for line in unheld([number, *wrong, verdict], texts)]
    assert named == ["a", "b", "c", "d"]


def test_number_of_questions() -> None:
    answerable = [item for item in QUESTIONS if item.answers]
    kinds = Counter(item.metadata["kind"] for item in answerable)
    verdicts = Counter(item.answers for item in answerable if item.metadata["kind"] == "yes_no")
    assert len(answerable) >= 110
    assert kinds["how_to"] >= 15 <= kinds["table"]
    assert verdicts == {("yes",): verdicts[("yes",)], ("no",): verdicts[("yes",)]}
    assert verdicts.total() >= 25
    assert sum(item.answers == () for item in QUESTIONS) >= 60
    assert min(Counter(item.metadata["source"] for item in MANUALS).values()) >= 20
    general = Counter(item.metadata["kind"] for item in GENERAL)
    assert general == {"fact": 40, "arithmetic": 30, "chat": 40, "writing": 40}
    assert all(item.metadata["needs_documents"] is False for item in GENERAL)


def test_only_questions_without_an_answer_are_unanswerable() -> None:
    for item in [*QUESTIONS, *MANUALS]:
        assert item.metadata["answerable"] is (item.answers != ()), item
        assert bool(item.documents) is bool(item.answers), item


@pytest.mark.parametrize(
    "questions", [QUESTIONS, MANUALS, GENERAL], ids=["office", "manuals", "general"]
)
def test_accepted_answers_are_distinctive(questions: list[Question]) -> None:
    for item in questions:
        for answer in item.answers or ():
            assert normalise(answer), f"{answer!r} is a part of every text: {item}"
            assert contains(answer, item.answers or ())
        verdict = {normalise(answer) for answer in item.answers or ()} & VERDICTS
        assert not verdict or len(item.answers or ()) == 1, item


def test_no_question_is_repeated_or_used_to_fit_the_gate() -> None:
    everyday = ROOT / "lab/benchmarks" / "everyday" / "queries.jsonl"
    fitted = [json.loads(line)["text"] for line in everyday.read_text("utf-8").splitlines()]
    fitted += (ROOT / "lab/benchmarks" / "everyday_requests.txt").read_text("utf-8").splitlines()
    items = [*QUESTIONS, *MANUALS, *GENERAL]
    assert len({item.id for item in items}) == len(items)
    texts = Counter(normalise(item.text) for item in items)
    assert texts.most_common(1)[0][1] == 1
    assert not set(texts) & {normalise(text) for text in fitted}


def test_the_material_is_small() -> None:
    assert sum(path.stat().st_size for path in MATERIAL.rglob("*") if path.is_file()) < 400_000
