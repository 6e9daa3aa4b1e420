"""Sentences of data sets, replaced by what the base says to the same prompt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from expertrag.experts.dense import load_dense
from expertrag.generation.chat import ChatTokenizer
from expertrag.prompt import ABSTAINS, Reply
from expertrag.reader import own_words
from expertrag.reader.adapters import AdapterSettings, adapt
from expertrag.reader.examples import DevQuestions, Example, Material
from expertrag.reader.network import ReaderNetwork, Told
from expertrag.reader.own_words import UNSUPPORTED, in_own_words
from expertrag_retriever.types import Passage

SHIPS = Passage("ships", 0, "Paint the hull first, then paint the sails.", 0, 43, 1.0)
CARTS = Passage("carts", 0, "A cart has two wheels.", 0, 22, 1.0)
SENTENCE = Example("how", "crafts", "How do I paint a ship?", (CARTS, SHIPS), Reply("Paint.", (2,)))
SHORT = replace(SENTENCE, question="What first?", reply=Reply("the hull", (2,)), accepted=("hull",))
ABSTAINED = replace(SENTENCE, question="Which colour?", reply=ABSTAINS)


@pytest.fixture(scope="module")
def network(tiny_llama: Path) -> ReaderNetwork:
    dense = load_dense(tiny_llama)
    adapters = adapt(dense.model, AdapterSettings(("crafts",), 2, 1))
    return ReaderNetwork(
        dense.model, adapters, ChatTokenizer(AutoTokenizer.from_pretrained(tiny_llama))
    )


def _replaced(network: ReaderNetwork, kept: Path) -> Material:
    given = Material("how", "crafts", "", (SENTENCE, SHORT, ABSTAINED), DevQuestions())
    (found,) = in_own_words([given], network, kept, lambda *_: None)
    return found


def test_what_the_passages_do_not_hold_is_not_learned(
    network: ReaderNetwork, tmp_path: Path
) -> None:
    """A base with random weights says nothing that they hold."""
    found = _replaced(network, tmp_path / "said.jsonl")
    assert found.examples == (SHORT, ABSTAINED)
    assert found.dropped == {UNSUPPORTED: 1}
    (line,) = (tmp_path / "said.jsonl").read_text().splitlines()
    assert json.loads(line)["reply"] == ""


def test_a_killed_run_goes_on_with_what_was_said(network: ReaderNetwork, tmp_path: Path) -> None:
    kept = tmp_path / "said.jsonl"
    _replaced(network, kept)
    said = json.loads(kept.read_text())
    kept.write_text(json.dumps({**said, "reply": "Begin with the hull."}) + '\n{"key": "torn')
    found = _replaced(network, kept)
    replied = replace(SENTENCE, reply=Reply("Begin with the hull.", (2,)))
    assert found.examples == (replied, SHORT, ABSTAINED)
    assert len(kept.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("told", "learned"),
    [
        (
            Told(Reply("Paint the hull,\nthen the sails."), 0.1),
            "Paint the hull, then the sails.",
        ),
        (Told(Reply("Paint the hull, then the sails."), 0.1, ended=False), ""),
        (Told(Reply("A cart has two wheels.", (1,)), 0.1), ""),
        (Told(ABSTAINS, 0.9), ""),
    ],
)
def test_only_a_whole_reply_that_the_gold_passage_holds_is_learned(
    told: Told, learned: str
) -> None:
    assert own_words._usable(SENTENCE, told) == learned
