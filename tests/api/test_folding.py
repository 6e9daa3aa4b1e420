"""Events folded into an answer."""

from __future__ import annotations

import pytest

from expertrag.api.errors import ServerError
from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    UsageEvent,
)
from expertrag.api.folding import fold
from expertrag.api.logprobs import TokenLogprob
from expertrag.api.types import (
    Citation,
    FinishReason,
    GateAction,
    GateDecision,
    GateMode,
    Passage,
    Usage,
)

DECISION = GateDecision(GateAction.RETRIEVE, GateMode.AUTO, "it pays")
PASSAGE = Passage("d", 0, "text", 0, 4, 0.5)
CITATION = Citation(0, 5, 1, "d", 0, 4, 0.9)
EVENTS: list[AnswerEvent] = [
    GateEvent(DECISION),
    PassagesEvent((PASSAGE,), 7),
    DeltaEvent("two ", (TokenLogprob("two ", -0.5),)),
    DeltaEvent("words", (TokenLogprob("word", -1.0), TokenLogprob("s", -0.1))),
    CitationEvent(CITATION),
    UsageEvent(Usage(lm_calls=1)),
    DoneEvent(
        FinishReason.STOP, 0.9, "model", from_documents=True, unsupported_reason="'9' is missing"
    ),
]


def test_every_event_has_its_place() -> None:
    answer = fold(EVENTS)
    assert answer.text == "".join(token.text for token in answer.logprobs) == "two words"
    assert answer.decision is DECISION
    assert answer.passages == (PASSAGE,)
    assert answer.citations == (CITATION,)
    assert answer.usage.lm_calls == 1
    assert (answer.finish_reason, answer.support) == (FinishReason.STOP, 0.9)
    assert (answer.generation, answer.model) == (7, "model")
    assert (answer.from_documents, answer.unsupported_reason) == (True, "'9' is missing")
    assert not answer.abstained


@pytest.mark.parametrize("length", range(len(EVENTS)))
def test_an_incomplete_stream_raises(length: int) -> None:
    with pytest.raises(ServerError) as caught:
        fold(EVENTS[:length])
    assert caught.value.reason == "ANSWER_INCOMPLETE"
