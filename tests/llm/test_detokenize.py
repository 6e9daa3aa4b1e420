"""Pieces of text join to the whole, break no character, and show nothing of a stop string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag.llm.base import Message
from expertrag.llm.detokenize import Detokenizer, StopFilter
from expertrag.llm.load.chat import ChatTokenizer, continues


@pytest.mark.parametrize(
    "text",
    [
        "Hello world, it's 12 o'clock.",
        "  leading,  double  spaces \n\n and lines\t",
        "été, naïve, Ελληνικά",
        "漢字かな交じり文",
        "🎉👩‍👩‍👧‍👦 and 🏳️‍🌈",
        "",
    ],
)
def test_pieces_join_to_the_text(text: str, chat: ChatTokenizer) -> None:
    detokenizer = Detokenizer(chat.decode)
    tokens = chat._tokenizer(text, add_special_tokens=False).input_ids
    pieces = [detokenizer.push(token) for token in tokens]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + detokenizer.flush() == text


def test_a_continued_turn_drops_its_leading_space(chat: ChatTokenizer) -> None:
    for text, expected in ((" Paris is it.", "Paris is it."), ("\n Paris", "Paris"), (" ", "")):
        detokenizer = Detokenizer(chat.decode, goes_on=True)
        tokens = chat._tokenizer(text, add_special_tokens=False).input_ids
        assert detokenizer.would_add(tokens[0]) == chat.decode(tokens[:1]).lstrip()
        pieces = [detokenizer.push(token) for token in tokens]
        assert "".join(pieces) + detokenizer.flush() == expected


def test_a_begun_turn_ends_the_prompt(chat: ChatTokenizer) -> None:
    asked = [Message("system", "Be brief."), Message("user", "Where?")]
    begun = chat.encode([*asked, Message("assistant", "Short answer:")])
    assert begun == chat.encode(asked) + chat.encode_text("Short answer:")
    assert continues([*asked, Message("assistant", "In")]) and not continues(asked)


def test_pieces_come_as_soon_as_they_are_whole(chat: ChatTokenizer) -> None:
    detokenizer = Detokenizer(chat.decode)
    tokens = chat._tokenizer("The capital of France", add_special_tokens=False).input_ids
    assert [detokenizer.push(token) for token in tokens] == ["The", " capital", " of", " France"]


def test_an_unfinished_character_ends_as_a_replacement(chat: ChatTokenizer) -> None:
    tokens = chat._tokenizer("🎉", add_special_tokens=False).input_ids
    assert len(tokens) > 1
    detokenizer = Detokenizer(chat.decode)
    assert [detokenizer.push(token) for token in tokens[:-1]] == [""] * (len(tokens) - 1)
    assert detokenizer.flush() == "\ufffd"


def test_invalid_bytes_do_not_hold_the_text_back() -> None:
    """A model may emit bytes that are not text at all."""
    detokenizer = Detokenizer(lambda tokens: bytes(tokens).decode("utf-8", "replace"))
    data = b"ok \xff\xff\xff\xff\xff then \xe6\xbc\xa2."
    pieces = [detokenizer.push(byte) for byte in data]
    assert "".join(pieces) + detokenizer.flush() == data.decode("utf-8", "replace")
    assert "漢" in pieces


@given(st.text(max_size=20))
def test_any_text_joins_byte_by_byte(text: str) -> None:
    detokenizer = Detokenizer(lambda tokens: bytes(tokens).decode("utf-8", "replace"))
    pieces = [detokenizer.push(byte) for byte in text.encode()]
    assert "".join(pieces) + detokenizer.flush() == text


@pytest.mark.parametrize(
    ("stops", "pieces", "expected", "stopped"),
    [
        ((), ["a", "b"], "ab", False),
        (("END",), ["one E", "ND two"], "one ", True),
        (("END",), ["E", "N", "D"], "", True),
        (("END",), ["E", "N", "X"], "ENX", False),
        (("END",), ["ENEND"], "EN", True),
        (("END",), ["the EN"], "the EN", False),
        (("b", "ab"), ["xa", "b"], "x", True),  # the earliest match wins
        (("aab",), ["aaab"], "a", True),
        (("\n\n",), ["line\n", "\nmore"], "line", True),
        (("",), ["a"], "a", False),
    ],
)
def test_stop_strings(
    stops: tuple[str, ...], pieces: list[str], expected: str, stopped: bool
) -> None:
    stop_filter = StopFilter(stops)
    text = ""
    for piece in pieces:
        text += stop_filter.push(piece)
        if stop_filter.stopped:
            break
    assert text + stop_filter.flush() == expected
    assert stop_filter.stopped is stopped


@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=3), st.integers(1, 4))
def test_stop_strings_do_not_depend_on_the_cuts(text: str, stop: str, size: int) -> None:
    stop_filter = StopFilter((stop,))
    out = ""
    for start in range(0, len(text), size):
        out += stop_filter.push(text[start : start + size])
        assert stop not in out
        if stop_filter.stopped:
            break
    assert out + stop_filter.flush() == text.partition(stop)[0]
