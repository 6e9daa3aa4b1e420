"""Reading examples: gold among distractors, abstention, nothing from the test split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag.llm.prompt import ABSTAINS
from expertrag_lab.train.reader.answers import ASKED
from expertrag_lab.train.reader.examples import ReaderMaterial
from expertrag_lab.train.reader.material import material, materials
from expertrag_lab.train.reader.recipe import FULL

RECIPE = replace(FULL, dev_questions=10, unanswered=0.1, tempted=0.4, passages=3)


@pytest.fixture
def made(dataset: Path) -> ReaderMaterial:
    return material(dataset, "encyclopedia", RECIPE)


def test_the_cited_passage_contains_the_answer(made: ReaderMaterial) -> None:
    answered = [item for item in made.examples if item.reply.has_answer]
    assert answered
    for item in answered:
        [number] = item.reply.cited
        assert item.reply.answer in item.passages[number - 1].text
        others = [p for place, p in enumerate(item.passages, 1) if place != number]
        assert not any(item.reply.answer in passage.text for passage in others)


def test_the_gold_passage_is_at_every_position(made: ReaderMaterial) -> None:
    places = {item.reply.cited for item in made.examples if len(item.passages) == 2}
    assert {(1,), (2,)} <= places


def test_the_share_of_abstentions_is_met(made: ReaderMaterial) -> None:
    abstained = [item for item in made.examples if not item.reply.has_answer]
    assert abs(len(abstained) / len(made.examples) - RECIPE.tempted) < 0.05
    assert all(item.reply == ABSTAINS and item.passages for item in abstained)
    native = [item for item in abstained if " die?" in item.question]
    # the tempting passage is among those of a question that the set marks as unanswerable
    assert all(any(p.title in item.question for p in item.passages) for item in native)
    robbed = [item for item in abstained if " die?" not in item.question]
    assert native and robbed
    assert not any(p.title in item.question for item in robbed for p in item.passages)


def test_dev_documents_are_not_trained_on(made: ReaderMaterial) -> None:
    gold = {item.passages[n - 1].document_id for item in made.examples for n in item.reply.cited}
    held_out = {
        item.passages[n - 1].document_id for item in made.dev.alone for n in item.reply.cited
    }
    assert held_out and not gold & held_out
    assert all(len(item.passages) == 1 for item in made.dev.alone)
    assert all(len(item.passages) == RECIPE.passages for item in made.dev.among)


def test_questions_of_the_test_split_are_dropped(made: ReaderMaterial) -> None:
    asked = {item.question for item in (*made.examples, *made.dev.among, *made.dev.unanswerable)}
    assert not any(f"{name} " in question for question in asked for name in ("Irene Had", "Jacob"))
    assert made.dropped[ASKED] == 1


def test_material_is_reproducible(dataset: Path, made: ReaderMaterial) -> None:
    assert material(dataset, "encyclopedia", RECIPE) == made
    assert material(dataset, "encyclopedia", replace(RECIPE, seed=1)).examples != made.examples


def test_the_number_of_examples_can_be_limited(dataset: Path, made: ReaderMaterial) -> None:
    (fewer,) = materials({"encyclopedia": (dataset,)}, RECIPE, {}, {dataset.name: 8})
    assert 0 < len(fewer.examples) < len(made.examples)
    with pytest.raises(InvalidArgument, match="examples: no data set is called squad3"):
        materials({"encyclopedia": (dataset,)}, RECIPE, {}, {"squad3": 8})
