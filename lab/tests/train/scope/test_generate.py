"""Questions from templates, and what is learnt from them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from expertrag.answer.scope import OTHERS, SCOPES, probabilities, read_weights
from expertrag_lab.train.scope import fit
from expertrag_lab.train.scope.generate import Language, generate
from expertrag_lab.train.scope.templates import Domain, Template, Templates, fill
from expertrag_lab.train.scope.typing_errors import mistype
from expertrag_retriever.types import QuestionScope

CONTRACTS = Domain(
    "contracts",
    "train",
    {
        "items": ["contracts/contract"],
        "do": ["end in {year}"],
        "act": ["sign"],
        "list": ["who signed contracts"],
    },
)
ENGLISH = Language(
    "en",
    Templates(
        (
            Template("which {items} {do}", QuestionScope.LIST, "train"),
            Template("how many {items} {do} @time", QuestionScope.COUNT, "train"),
            Template("(list|name) the {items}", QuestionScope.LIST, "test"),
        ),
        {"time": ["last year", ""], "before": ["please"], "after": ["thanks"]},
    ),
    (CONTRACTS,),
    {"year": ["2026"]},
)


def test_macros_choices_and_slots_are_filled() -> None:
    draw = random.Random(0)
    slots = {"items": ["contracts"], "n": ["2", "3"]}
    text = fill("(list|list) {items} @time, {n2}", {"time": ["since {n}"]}, slots, draw)
    assert text in {f"list contracts since {n}, {m}" for n in "23" for m in "23"}


def test_a_slot_without_a_value_raises() -> None:
    with pytest.raises(KeyError):
        fill("{nothing}", {}, {}, random.Random(0))


def test_the_templates_of_another_half_are_not_used() -> None:
    many = {QuestionScope.LIST: 20}
    texts = {each.text for each in generate(ENGLISH, ("train",), many, seed=1)}
    assert not any("name the" in text or "list the" in text for text in texts)
    assert "which contracts end in 2026" in texts
    assert texts == {each.text for each in generate(ENGLISH, ("train",), many, seed=1)}


def test_a_typing_error_changes_few_letters() -> None:
    text = "which contracts end in 2026"
    mistyped = mistype(text, random.Random(4))
    assert mistyped != text
    assert abs(len(mistyped) - len(text)) <= 2


def test_the_fit_is_written_and_read_as_the_service_reads_it(tmp_path: Path) -> None:
    many = {QuestionScope.LIST: 5, QuestionScope.COUNT: 5}
    questions = list(generate(ENGLISH, ("train",), many, seed=1))
    texts = [each.text for each in questions]
    target = [SCOPES.index(each.scope) for each in questions]
    fitted = fit.fit(fit.matrix(texts), target, epochs=30)
    bounds = fit.choose_bounds(fit.predict(fitted, ["who signed it"]), dict.fromkeys(OTHERS, 1.0))
    fit.save_scope(fitted._replace(bounds=bounds), {}, "", tmp_path)
    read = read_weights(tmp_path)
    expected = fit.predict(fitted, texts)
    assert np.allclose([probabilities(read, text) for text in texts], expected, atol=1e-5)
    assert expected.argmax(axis=1).tolist() == target
