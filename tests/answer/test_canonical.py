"""The canonical form of a question: its rules one by one, and in the real pipeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag.answer.canonical import MOST_CHARACTERS, canonical
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.folding import fold
from expertrag.api.turns import Turn
from expertrag.api.types import AnswerRequest, GateMode, Passage
from expertrag.audit import Audit
from expertrag.config import GateConfig
from expertrag.llm.base import Message
from expertrag_lab.eval.paraphrase import REWRITES

CAPITAL = "What is the capital of Norway?"
ROSES = "When are roses pruned?"


@pytest.mark.parametrize(
    "wording",
    [
        "what is the capital of Norway",
        "What  is the\tcapital of Norway ?",
        "What's the capital of Norway??",
        "What\u2019s the capital of Norway?",
        "whats the capital of Norway",
        "Question: What is the capital of Norway?",
        "Q: what is the capital of Norway.",
        "Can you tell me: What is the capital of Norway?",
        "Could you please tell me what the capital of Norway is?",
        "Hi, I was wondering what the capital of Norway is.",
        "Hello Ada! Do you happen to know what the capital of Norway is? Thanks in advance!",
        "Excuse me, would you mind telling me what the capital of Norway is?",
        "I'd like to know what the capital of Norway is",
        "I wonder if you could tell me what the capital of Norway is",
        "Is there any chance you could tell me what the capital of Norway is?",
        "Does anyone know what the capital of Norway is, please?",
        "Quick question: what is the capital of Norway?",
    ],
)
def test_spellings_and_openings_have_one_canonical_form(wording: str) -> None:
    assert canonical(wording) == CAPITAL


@pytest.mark.parametrize(
    "question",
    [
        CAPITAL,
        "capital of Norway",  # key words are not a question
        "Tell me about Norway.",
        "Name the capital of Norway.",
        "Could you summarise the report?",  # asks for nothing that begins with a question word
        "Do you know if the shop is open?",
        "I have what it takes",
        "Have a nice day",
        "May 2019 revenue",
        "Will Smith",
        "Please make it shorter.",
        "ZIP FILE FORMAT OF THE US ARMY",  # a lower-case "us" is another word
        "WHAT IS THE CAPITAL OF THE US?",
        # without the opening, these are not English
        "Could you tell me what write-ahead logging is?",
        "Do you know what genre Zones is?",
        "Can you tell me how many trees there are?",
        "I wonder how the moon was made",
        "Can you tell me who wrote Hamlet?",
        "Thanks!",
        "Norway: What is its capital, and why?",
        'Which actress was in "Ed Wood?"',
        "Who was the producer of Hired!?",
        "Who was the producer of Benjamin Franklin, Jr.?",
        "What has changed? I use version 2.",
        "What's changed in version 2?",  # "has", not "is"
        "Wann werden die  Rosen im Garten geschnitten".replace("  ", " "),
        "What does this do?\n\n    x  =  1",
        "what does `a  b` mean",
    ],
)
def test_other_texts_stay_as_they_are(question: str) -> None:
    assert canonical(question) == question


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("Do you know where Warsaw is?", "Where is Warsaw?"),
        ("I have a question: is the API stable?", "Is the API stable?"),
        ("is it stable", "Is it stable?"),
        ("Question: oxygen", "oxygen"),
        ("Ist  das   so, und  wie ist  die Antwort?", "Ist das so, und wie ist die Antwort?"),
        ("tell me how are roses pruned", "How are roses pruned?"),
        ("BERT F1", "BERT F1"),
    ],
)
def test_forms(question: str, form: str) -> None:
    assert canonical(question) == form


def test_a_long_text_keeps_its_opening() -> None:
    text = "Hi, what is this? " + "word " * MOST_CHARACTERS
    assert canonical(text) == text.strip()


PARTS = st.sampled_from(
    ["Hi, ", "question: ", "can you tell me ", "I wonder ", "what's ", "who ", "is ", "the ", "X ",
     "?", ". ", "!", " thanks", ", please", "etc.", '"', "  ", "please ", "if you know ", "so "]
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(PARTS, max_size=9).map("".join)))
def test_a_canonical_form_is_its_own(text: str) -> None:
    form = canonical(text)
    assert canonical(form) == form
    assert bool(form.strip()) or not text.strip() or not text.isprintable()


class Reading(TellingGenerator):
    """Reads questions in their canonical form, and keeps the prompts."""

    reading = ReadingPolicy(reader=True, canonical=True)

    def __init__(self) -> None:
        super().__init__("A bud.")
        self.prompts: list[Sequence[Message]] = []

    def reply_to(self, messages: Sequence[Message]) -> str:
        self.prompts.append(messages)
        return self.reply


def asked(
    open_pipeline: OpenPipeline, question: str, mode: GateMode
) -> tuple[list[Sequence[Message]], Sequence[Passage], float | None]:
    """Ask a question; return its prompts, its passages and the decision's probability."""
    model = Reading()
    answer = fold(open_pipeline(model).answer(AnswerRequest(question, mode)))
    assert answer.decision.rewritten_question == (ROSES if question != ROSES else "")
    return model.prompts, answer.passages, answer.decision.p_benefit


@pytest.mark.parametrize("mode", list(GateMode))
def test_every_step_sees_the_canonical_question(
    open_pipeline: OpenPipeline, mode: GateMode
) -> None:
    expected = asked(open_pipeline, ROSES, mode)
    for name, rewrite in REWRITES.items():
        if name != "lower_case":  # which may be a name
            assert asked(open_pipeline, rewrite(ROSES), mode) == expected


def test_a_question_that_is_answered_strictly_if_unsure_is_read_alike(
    open_pipeline: OpenPipeline,
) -> None:
    asked = "Tell me: who is answerable for the leave of employees?"
    p_benefit = open_pipeline(Reading()).decide(asked).p_benefit
    assert p_benefit is not None
    model, policy = Reading(), GateConfig(threshold=(1 + p_benefit) / 2, unsure="strict")
    pipeline = open_pipeline(model, policy=policy)
    assert fold(pipeline.answer(AnswerRequest(asked))).decision.retrieve
    question = "Who is answerable for the leave of employees?"
    assert model.prompts[-1][-1].content.endswith(f"Question: {question}")


def test_as_asked_changes_nothing(open_pipeline: OpenPipeline) -> None:
    model = Reading()
    model.reading = ReadingPolicy(reader=True)
    fold(open_pipeline(model).answer(AnswerRequest("when are  roses pruned", GateMode.ALWAYS)))
    assert model.prompts[-1][-1].content.endswith("Question: when are  roses pruned")


def test_a_follow_up_is_read_in_its_canonical_form(open_pipeline: OpenPipeline) -> None:
    model = Reading()
    history = (Turn.user(ROSES), Turn.assistant("In March."))
    request = AnswerRequest("can you tell me: above what are they pruned", history=history)
    answer = fold(open_pipeline(model).answer(request))
    assert answer.decision.rewritten_question == "Above what are roses pruned?"


def test_the_audit_log_keeps_the_question_as_asked(
    open_pipeline: OpenPipeline, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    pipeline = open_pipeline(Reading(), audit=Audit(path, texts=True))
    fold(pipeline.answer(AnswerRequest("when are  roses pruned", GateMode.ALWAYS)))
    pipeline.close()
    (entry,) = map(json.loads, path.read_text().splitlines())
    assert entry["question"] == "when are  roses pruned"
