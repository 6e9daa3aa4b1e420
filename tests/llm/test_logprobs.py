"""Log probabilities are the model's own, and belong to the tokens of the text."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_fixtures import TinyFolder
from transformers import AutoModelForCausalLM

from expertrag.api.events import DeltaEvent
from expertrag.api.logprobs import TokenLogprob
from expertrag.api.types import Constraint, FinishReason, Sampling
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.backends.transformers_session import TransformersSession
from expertrag.llm.base import Message, never_stop
from expertrag.llm.engine.native_session import NativeSession
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.local_session import LocalPrompt, LocalSession
from expertrag.llm.logprobs import Ranked
from expertrag_retriever.types import PrefillSignals

_QUESTION = [Message("user", "What is the capital of France?")]


def _parts(deltas: list[DeltaEvent]) -> tuple[str, list[TokenLogprob]]:
    text = "".join(delta.text for delta in deltas)
    return text, [token for delta in deltas for token in delta.logprobs]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(12, logprobs=20),
        Sampling(
            12, 0.9, 1, (), 1.5, Constraint(regex="[a-z]{2,9} [a-z]{2,9} [a-z]{2,9}"), logprobs=20
        ),
    ],
    ids=["greedy", "temperature, penalty and constraint"],
)
def test_logprobs_are_those_of_the_model(
    sampling: Sampling, either: TransformersGenerator, tiny_folder: TinyFolder
) -> None:
    session = either.begin(_QUESTION, sampling)
    session.peek(3)
    text, reported = _parts(list(session.deltas()))
    if isinstance(session, NativeSession):
        drawn = session._sequence.tokens[session.prompt_tokens :]
    else:
        assert isinstance(session, TransformersSession)
        drawn = session._drawn
    prompt = either._chat.encode(_QUESTION)
    load: Any = AutoModelForCausalLM.from_pretrained
    eager = load(tiny_folder("mixtral"), dtype=torch.float32)
    with torch.inference_mode():
        logits = eager(input_ids=torch.tensor([prompt + drawn])).logits[0, len(prompt) - 1 : -1]
    said = logits.log_softmax(-1)
    assert len(reported) == len(drawn) > 2
    for row, token, one in zip(said, drawn, reported, strict=True):
        assert one.logprob == pytest.approx(float(row[token]), abs=1e-4)
        top = [other.logprob for other in one.top]
        assert top == pytest.approx(row.topk(20).values.tolist(), abs=1e-4)
        assert sum(map(math.exp, top)) <= 1 + 1e-6
    assert "".join(one.text for one in reported) == text


def test_logprobs_come_with_their_piece(smollm: TransformersGenerator) -> None:
    session = smollm.begin(_QUESTION, Sampling(30, logprobs=2))
    for delta in session.deltas():
        assert "".join(token.text for token in delta.logprobs) == delta.text
        [token] = delta.logprobs
        assert token.top[0].text == token.text and token.top[0].logprob == token.logprob
        assert len(token.top) == 2
    plain = list(smollm.begin(_QUESTION, Sampling(30)).deltas())
    assert not any(delta.logprobs for delta in plain)
    alone = list(smollm.begin(_QUESTION, Sampling(30, logprobs=0)).deltas())
    assert all(delta.logprobs[0].top == () for delta in alone)


def test_a_stop_string_cuts_the_tokens_too(smollm: TransformersGenerator) -> None:
    session = smollm.begin(_QUESTION, Sampling(30, stop=("nce is Pa", "zzz"), logprobs=1))
    text, reported = _parts(list(session.deltas()))
    assert (text, session.finish_reason) == ("The capital of Fra", FinishReason.STOP)
    assert [token.text for token in reported] == ["The", " capital", " of", " Fra"]
    assert reported[-1].top[0].text == " France"  # alternatives are not cut


class _Fed(LocalSession):
    """A session that replays given tokens."""

    def __init__(self, chat: ChatTokenizer, tokens: list[int], stop: tuple[str, ...]) -> None:
        super().__init__(LocalPrompt([], Sampling(stop=stop, logprobs=0), chat.decode, never_stop))
        self._left = tokens

    def _next(self) -> int | None:
        if not self._left or self._ended:
            return None
        self._ranked.append(Ranked(-1.0, ()))
        return self._left.pop(0)

    def peek(self, tokens: int) -> PrefillSignals | None:
        return None

    def close(self) -> None: ...


def test_tokens_join_to_any_text(chat: ChatTokenizer) -> None:
    @settings(max_examples=100, deadline=None)
    @given(st.text("ab 🎉漢é\n", max_size=12), st.lists(st.text("ab 🎉", min_size=1, max_size=3)))
    def check(text: str, stop: list[str]) -> None:
        tokens = chat._tokenizer(text, add_special_tokens=False).input_ids
        whole = tokens[: len(tokens) - len(tokens) // 4]  # may break a character
        wanted = "".join(_Fed(chat, list(whole), tuple(stop)).stream())
        deltas = list(_Fed(chat, list(whole), tuple(stop)).deltas())
        shown = reported = ""
        for delta in deltas:
            shown += delta.text
            reported += "".join(token.text for token in delta.logprobs)
            assert shown.startswith(reported)  # no token of text that is not shown
        assert reported == shown == wanted

    check()
