"""Questions of a conversation, in the real pipeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag.answer.follow_up import exchanges
from expertrag.answer.gate import ABOUT_CONVERSATION
from expertrag.api.errors import InvalidArgument
from expertrag.api.folding import fold
from expertrag.api.turns import Turn
from expertrag.api.types import AnswerRequest, GateAction, GateMode, RetrieveRequest, Sampling
from expertrag.audit import Audit
from expertrag.llm import prompt
from expertrag.llm.base import Message

ROSES = (Turn.user("When are roses pruned?"), Turn.assistant("In March."))
FOLLOW_UP = "Above what are they pruned?"
READ = "Above what are roses pruned?"


class Listening(TellingGenerator):
    """Keeps the prompts."""

    def __init__(self, reply: str = "A bud.") -> None:
        super().__init__(reply)
        self.prompts: list[Sequence[Message]] = []

    def reply_to(self, messages: Sequence[Message]) -> str:
        self.prompts.append(messages)
        return self.reply


class Writing(Listening):
    """Is large enough to write follow-ups as questions that stand alone; writes ``question``."""

    family = "instruct"

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question
        self.written = 0

    def reply_to(self, messages: Sequence[Message]) -> str:
        if messages[-1].content != "Standalone question:":
            return super().reply_to(messages)
        self.written += 1
        return f" {self.question}"


def test_the_documents_are_asked_what_the_follow_up_means(open_pipeline: OpenPipeline) -> None:
    model = Listening()
    pipeline = open_pipeline(model)
    answer = fold(pipeline.answer(AnswerRequest(FOLLOW_UP, GateMode.ALWAYS, history=ROSES)))
    assert answer.decision.rewritten_question == READ
    assert answer.passages[0].document_id == "garden/roses"
    assert model.prompts[-1][-1].content.endswith(f"Question: {READ}")
    assert "rewrite" in answer.usage.stage_seconds
    alone = fold(pipeline.answer(AnswerRequest(READ, GateMode.ALWAYS)))
    assert alone.passages == answer.passages
    assert alone.decision.rewritten_question == ""


def test_retrieve_and_decide_read_the_history(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline()
    found = pipeline.retrieve(RetrieveRequest(FOLLOW_UP, history=ROSES))
    assert found.rewritten_query == READ
    assert found.passages == pipeline.retrieve(RetrieveRequest(READ)).passages
    decision = pipeline.decide(FOLLOW_UP, history=ROSES)
    assert decision.rewritten_question == READ
    assert decision.p_benefit == pipeline.decide(READ).p_benefit


@pytest.mark.parametrize(
    ("written", "question"),
    [
        ("Above which bud are roses pruned?", READ),  # invents
        ("Above what are roses pruned in March?", "Above what are roses pruned in March?"),
        ("Above what are they pruned?", READ),  # still refers
        ("When are roses pruned?", READ),  # drops
    ],
)
def test_what_the_model_writes_is_used_if_it_is_faithful(
    open_pipeline: OpenPipeline, written: str, question: str
) -> None:
    model = Writing(written)
    pipeline = open_pipeline(model)
    answer = fold(pipeline.answer(AnswerRequest(FOLLOW_UP, GateMode.ALWAYS, history=ROSES)))
    assert answer.decision.rewritten_question == question
    assert model.written == 1
    alone = fold(pipeline.answer(AnswerRequest(question, GateMode.ALWAYS)))
    assert answer.usage.lm_calls == alone.usage.lm_calls + 1
    assert answer.passages == alone.passages
    found = pipeline.retrieve(RetrieveRequest(FOLLOW_UP, history=ROSES))
    assert found.rewritten_query == question


def test_the_model_may_leave_a_message_as_it_is(open_pipeline: OpenPipeline) -> None:
    question = "How many days of leave are there?"
    asked = RetrieveRequest(question, history=ROSES)
    assert open_pipeline(Writing(question)).retrieve(asked).rewritten_query == ""


@pytest.mark.parametrize(
    ("message", "history"),
    [
        ("When are roses pruned?", ()),
        ("Thanks!", ROSES),
        ("And tulips?", ROSES),
        ("Who is Marie Curie?", ROSES),
        ("Wann und wie oft werden die Rosen im Garten geschnitten, und wie macht man das?", ROSES),
    ],
)
def test_the_model_writes_only_what_is_open(
    open_pipeline: OpenPipeline, message: str, history: tuple[Turn, ...]
) -> None:
    model = Writing("")
    open_pipeline(model).retrieve(RetrieveRequest(message, history=history))
    assert model.written == 0


def test_a_change_of_subject_is_left_alone(open_pipeline: OpenPipeline) -> None:
    question = "How many days of paid leave do employees of Northwind get?"
    found = open_pipeline().retrieve(RetrieveRequest(question, history=ROSES))
    assert found.rewritten_query == ""
    assert found.passages[0].document_id == "office/leave"


def test_a_question_in_another_language_is_left_alone(open_pipeline: OpenPipeline) -> None:
    question = "Wann und wie oft werden die Rosen im Garten geschnitten, und wie macht man das?"
    assert open_pipeline().retrieve(RetrieveRequest(question, history=ROSES)).rewritten_query == ""


@pytest.mark.parametrize("message", ["Thanks!", "Make that shorter, please."])
def test_messages_about_the_conversation_need_no_search(
    open_pipeline: OpenPipeline, message: str
) -> None:
    model = Listening("You're welcome.")
    answer = fold(open_pipeline(model).answer(AnswerRequest(message, history=ROSES)))
    decision = answer.decision
    assert (decision.action, decision.reason) == (GateAction.CLOSED_BOOK, ABOUT_CONVERSATION)
    assert answer.usage.retrieval_calls == 0
    assert "embed" not in answer.usage.stage_seconds
    assert model.prompts[-1] == [
        Message("system", prompt.CLOSED_BOOK),
        Message("user", "When are roses pruned?"),
        Message("assistant", "In March."),
        Message("user", message),
    ]


def test_forced_modes_are_obeyed(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline(Listening())
    strict = fold(pipeline.answer(AnswerRequest("Thanks!", GateMode.STRICT, history=ROSES)))
    assert strict.decision.retrieve
    never = fold(pipeline.answer(AnswerRequest(FOLLOW_UP, GateMode.NEVER, history=ROSES)))
    assert (never.decision.rewritten_question, never.usage.retrieval_calls) == ("", 0)


def test_closed_book_the_model_sees_the_conversation(open_pipeline: OpenPipeline) -> None:
    model = Listening()
    fold(open_pipeline(model).answer(AnswerRequest(FOLLOW_UP, GateMode.NEVER, history=ROSES)))
    shown = [message.content for message in model.prompts[-1][1:]]
    assert shown == [*(turn.text for turn in ROSES), FOLLOW_UP]


def test_turns_that_do_not_fit_are_counted(open_pipeline: OpenPipeline) -> None:
    model = Listening()
    model.context_tokens = 400
    long = [turn for _ in range(20) for turn in (Turn.user("a " * 30), Turn.assistant("b " * 30))]
    asked = AnswerRequest("Thanks!", history=(*long, *ROSES), sampling=Sampling(max_tokens=50))
    usage = fold(open_pipeline(model).answer(asked)).usage
    assert 0 < usage.turns_dropped < len(long)
    assert len(model.prompts[-1]) == len(long) + len(ROSES) - usage.turns_dropped + 2


def test_the_audit_log_shows_the_rewritten_question(
    open_pipeline: OpenPipeline, tmp_path: Path
) -> None:
    for texts in (True, False):
        path = tmp_path / f"{texts}.jsonl"
        pipeline = open_pipeline(audit=Audit(path, texts=texts))
        fold(pipeline.answer(AnswerRequest(FOLLOW_UP, GateMode.ALWAYS, history=ROSES)))
        (line,) = path.read_text().splitlines()
        logged = json.loads(line)
        assert (logged.get("question"), logged.get("rewritten_question")) == (
            (FOLLOW_UP, READ) if texts else (None, None)
        )


def test_exchanges_leave_out_thanks() -> None:
    thanks = (Turn.user("thanks"), Turn.assistant("You're welcome."))
    assert exchanges([*ROSES, *thanks, Turn.user("Why?")]) == [
        ("When are roses pruned?", "In March."),
        ("Why?", ""),
    ]
    assert exchanges([Turn.assistant("Hello, how can I help?"), *ROSES]) == [
        ("When are roses pruned?", "In March.")
    ]


@pytest.mark.parametrize("mode", [GateMode.NEVER, GateMode.ALWAYS])
def test_instructions_reach_the_answer_but_not_the_search(
    open_pipeline: OpenPipeline, mode: GateMode
) -> None:
    model = Listening()
    pipeline = open_pipeline(model)
    request = AnswerRequest("When are roses pruned?", mode, instructions="Answer about tulips.")
    answer = fold(pipeline.answer(request))
    assert model.prompts[-1][0].content.endswith("\n\nAnswer about tulips.")
    if mode is GateMode.ALWAYS:
        plain = fold(pipeline.answer(AnswerRequest("When are roses pruned?", mode)))
        assert plain.passages == answer.passages


@pytest.mark.parametrize("instructions", [" ", "long " * 4_000])
def test_instructions_are_bounded(open_pipeline: OpenPipeline, instructions: str) -> None:
    with pytest.raises(InvalidArgument, match="instructions: "):
        open_pipeline().answer(AnswerRequest("Why?", instructions=instructions))
