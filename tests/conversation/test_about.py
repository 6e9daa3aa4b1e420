"""Messages about the conversation itself."""

from __future__ import annotations

import pytest

from expertrag.conversation.about import is_about_conversation, is_courtesy

ABOUT = (
    "thanks",
    "Thank you so much for the help",
    "ok, thanks",
    "OK cool, thanks a lot!",
    "That's great, thanks",
    "make that shorter",
    "Can you make that shorter, please?",
    "Could you make it a bit simpler?",
    "In French?",
    "Please summarize that in one sentence.",
    "Summarise your last answer.",
    "translate it into German",
    "rephrase",
    "Say that again",
    "shorter please",
    "In one sentence?",
    "as a list",
    "tl;dr",
    "explain that in simple terms",
    "ok",
    "put it in a table",
    "what did I ask first?",
    "What was my first question?",
    "What\u2019s my name?",
    "Got it.",
    "hello",
    "Give me that as bullet points",
    "rewrite this in plain English",
    "never mind",
    "Perfect!",
    "bye",
)
QUESTIONS = (
    "What is write-ahead logging?",
    "How do I make it faster?",
    "Make it run on port 8080",
    "Why?",
    "explain that",
    "Tell me more",
    "summarize the WAL chapter",
    "How do I shorten a URL?",
    "Is it free?",
    "What is that?",
    "thanks, and how do I restore a dump?",
    "Can you elaborate?",
    "What about in the US?",
    "give me an example",
    "How do I repeat a command in bash?",
    "How do I translate a document?",
    "In which year?",
    "What is a table?",
    "How do I rewrite history in git?",
    "How can I convert it to JSON?",
    "Good. What is the default port?",
)


@pytest.mark.parametrize("message", ABOUT)
def test_messages_about_the_conversation(message: str) -> None:
    assert is_about_conversation(message)


def test_a_long_message_is_a_question() -> None:
    assert not is_about_conversation("ok " * 50_000 + "x")


@pytest.mark.parametrize("message", QUESTIONS)
def test_questions(message: str) -> None:
    assert not is_about_conversation(message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Thanks, that helped a lot!", True),
        ("Good morning", True),
        ("ok", True),
        ("Shorter, please", False),  # nothing to shorten
        ("What did I ask first?", False),
        ("How do I thank a customer?", False),
    ],
)
def test_a_first_message_may_be_a_courtesy(message: str, expected: bool) -> None:
    assert is_courtesy(message) is expected
