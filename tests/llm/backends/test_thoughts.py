"""Thoughts of a model are no part of its answer."""

from __future__ import annotations

import pytest
from model_server import ModelServer

from expertrag.api.types import Sampling
from expertrag.llm.backends.openai_backend import OpenAIGenerator
from expertrag.llm.backends.thoughts import ThoughtFilter
from expertrag.llm.base import Message

SPLITS = (1, 2, 3, 7, 1000)


@pytest.mark.parametrize("size", SPLITS)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>Let me see. </thin </think>\n\nParis.\n", "Paris.\n"),
        ("\n<think>\n</think>Paris <think>", "Paris <think>"),
        ("Paris <think>x</think>", "Paris <think>x</think>"),
        ("<thinking>", "<thinking>"),
        ("<th", "<th"),
        ("<think>never ends", ""),
        ("<think>a</think>", ""),
        ("  Paris", "  Paris"),
        ("", ""),
    ],
)
def test_filter(text: str, shown: str, size: int) -> None:
    thoughts = ThoughtFilter()
    parts = [thoughts.push(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join([*parts, thoughts.flush()]) == shown


def test_an_answer_of_a_server_has_no_thoughts() -> None:
    server = ModelServer()
    try:
        for thoughts, tokens, answer in (
            ([], ["<think>", "the capital", "</think>", "\n\n", "Paris", "."], "Paris."),
            (["the", " capital"], ["Paris", "."], "Paris."),
            ([], ["<", "b>Paris"], "<b>Paris"),
            ([], ["<th"], "<th"),
        ):
            server.behave(thoughts=thoughts, tokens=tokens)
            generator = OpenAIGenerator.connect(f"{server.url}#tiny")
            session = generator.begin([Message("user", "Where?")], Sampling())
            session.peek(1)
            assert "".join(delta.text for delta in session.deltas()) == answer
            generator.close()
    finally:
        server.kill()
