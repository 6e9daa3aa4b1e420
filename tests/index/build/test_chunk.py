from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertrag_index.build.chunk import Chunker, CountTokens
from expertrag_index.types import Chunk, Document

SPECIAL_TOKENS = 2


def count_words(texts: Sequence[str]) -> list[int]:
    return [SPECIAL_TOKENS + len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def count_bytes(texts: Sequence[str]) -> list[int]:
    """Counts white space, too, so that the token counts of units do not add up."""
    return [SPECIAL_TOKENS + len(text.encode()) for text in texts]


def split(text: str, max_tokens: int = 32, title: str = "") -> list[Chunk]:
    return Chunker(max_tokens, count_words).split(Document("d", text, title))


def sentence(words: int, tag: str = "word") -> str:
    return " ".join([tag.capitalize()] + [tag] * (words - 2)) + "."


def test_a_short_document_is_one_chunk_with_the_fields_of_its_document() -> None:
    document = Document("d", "  One. Two.\n", "Title", {"year": 2024}, "shell", "a.md")
    (chunk,) = Chunker(32, count_words).split(document)
    assert chunk == Chunk("d", 0, "One. Two.", 2, 11, "Title", "shell", "a.md", {"year": 2024})


@pytest.mark.parametrize("text", ["", "   ", "\n\n\t\f"])
def test_white_space_gives_no_chunk(text: str) -> None:
    assert split(text, title="Title") == []


def test_text_that_the_tokenizer_drops_gives_no_chunk(count_word_pieces: Any) -> None:
    assert Chunker(32, count_word_pieces).split(Document("d", "\x01\x02 \x03" * 2000)) == []


def test_a_paragraph_break_is_preferred_to_a_later_sentence_break() -> None:
    text = f"{sentence(10)} {sentence(10)}\n\n{sentence(8, 'other')} {sentence(14, 'other')}"
    first, second = split(text)
    assert first.text == text.split("\n\n")[0]
    assert second.text == text.split("\n\n")[1]


def test_a_heading_stays_with_the_text_below_it() -> None:
    body = f"{sentence(6)} {sentence(12)}"
    text = f"{sentence(18)}\n\n# Head\n\n{body}\n\n{sentence(9)}"
    assert [chunk.text.startswith("# Head") for chunk in split(text)][:2] == [False, True]


def test_a_chunk_has_one_section_and_its_headings_as_title() -> None:
    body = " ".join([sentence(9)] * 3)
    text = f"# Manual\n\n{body}\n\n## Valve\n\n{body}\n\n### Reset\n\n{body} {body}"
    chunks = split(text, 48, title="Manual")
    assert [(chunk.title, chunk.text.split("\n")[0]) for chunk in chunks] == [
        ("Manual", "# Manual"),
        ("Manual", "## Valve"),
        ("Manual > Valve", "### Reset"),
        ("Manual > Valve > Reset", body.split(". ")[0] + ". " + sentence(9)),
    ]


def test_a_sentence_is_cut_only_if_it_alone_is_too_long() -> None:
    text = " ".join([*map(sentence, (12, 20, 25, 9)), sentence(70, "long"), sentence(12)])
    chunks = split(text)
    assert sum(chunk.text.endswith(".") for chunk in chunks) >= 5
    assert all(chunk.text.endswith((".", "long")) for chunk in chunks)
    assert max(count_words([chunk.text for chunk in chunks])) <= 32


CODE = "```py\n" + "\n".join(f"x{n} = f(a. b, {n})" for n in range(8)) + "\n```"
ROWS = "\n".join(f"Name: A. {n} | Place: B. C | Size: {n}. Or so." for n in range(40))


@pytest.mark.parametrize("before", range(0, 60, 3))
def test_code_that_fits_is_not_cut(before: int) -> None:
    text = f"{sentence(before + 2)}\n\n{CODE}\n\n{sentence(40)}"
    assert any(CODE in chunk.text for chunk in split(text, 120))


def test_longer_code_is_cut_between_lines() -> None:
    code = "```py\n" + "\n".join(f"x{n} = f(a. b, {n})" for n in range(60)) + "\n```"
    chunks = split(f"{sentence(9)}\n\n{code}\n\n{sentence(9)}", 120)
    lines = [line for chunk in chunks for line in chunk.text.split("\n")]
    assert [line for line in lines if line] == [sentence(9), *code.split("\n"), sentence(9)]
    assert all(chunk.text != "```" for chunk in chunks)


def test_a_comment_in_code_is_not_a_heading() -> None:
    code = CODE.replace("x3 = ", "# x3 = ")
    chunks = split(f"{sentence(30)}\n\n{code}\n\n{sentence(60)}", 120)
    assert any(code in chunk.text for chunk in chunks)
    assert {chunk.title for chunk in chunks} == {""}


def test_rows_are_not_cut() -> None:
    chunks = split(f"# Table. One\n\n{ROWS}", 64)
    lines = [line for chunk in chunks for line in chunk.text.split("\n") if line]
    assert lines == ["# Table. One", *ROWS.split("\n")]
    assert len(chunks) > 5


def test_a_row_that_is_too_long_is_cut_between_cells() -> None:
    row = " | ".join(f"Name {n}: {sentence(12)}" for n in range(8))
    ends = [chunk.text[-1] for chunk in split(row, 40)]
    assert ends == ["|"] * (len(ends) - 1) + ["."]


def test_a_short_tail_is_balanced_with_the_chunk_before() -> None:
    text = " ".join([sentence(9)] * 3 + ["Short tail end."])
    assert [len(chunk.text.split()) for chunk in split(text)] == [16, 11]


def test_a_long_title_leaves_room_for_the_text() -> None:
    chunks = split(" ".join([sentence(9)] * 20), title="word " * 500)
    assert max(count_words([chunk.embedding_text for chunk in chunks])) <= 32
    assert chunks[0].title == "word word word word word word word word"
    assert len(chunks) < 20


def test_the_fingerprint_covers_the_settings() -> None:
    prints = {
        Chunker(32, count_words).fingerprint,
        Chunker(64, count_words).fingerprint,
    }
    assert len(prints) == 2
    assert Chunker(32, count_words).fingerprint in prints


@pytest.mark.parametrize("max_tokens", [15, 0, -1])
def test_rejects_impossible_budgets(max_tokens: int) -> None:
    with pytest.raises(ValueError, match="use at least 16"):
        Chunker(max_tokens, count_words)


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
CONTRARY = {
    "one word of 200 kB": "a" * 200_000,
    "base64": "".join(random.Random(0).choices("aB3/+x9Q", k=100_000)),
    "Chinese without stops": "汉字" * 20_000,
    "right to left": "مرحبا بالعالم " * 3_000,
    "emoji sequences": f"{FAMILY}\U0001f44d\U0001f3fd" * 2_000,
    "a gap of 200 kB": "a" + " " * 200_000 + "b",
    "short lines": "x\n" * 30_000,
    "marks on one letter": "x y a" + "\u0301" * 20_000,
    "any characters": "".join(map(chr, random.Random(0).choices(range(32, 0xD800), k=20_000))),
    "words that are not numbers": "NaN inf -inf 1e999 " * 5_000,
}


@pytest.mark.parametrize("text", CONTRARY.values(), ids=CONTRARY.keys())
def test_adversarial_text_stays_within_the_budget(text: str, count_word_pieces: Any) -> None:
    chunks = Chunker(64, count_word_pieces).split(Document("d", text, "Title"))
    assert chunks
    assert max(count_word_pieces([chunk.embedding_text for chunk in chunks])) <= 64
    assert max(len(chunk.text) for chunk in chunks) <= 64 * 16
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)


def test_a_cut_does_not_split_emoji_sequences() -> None:
    for chunk in split(FAMILY * 500, 64):
        assert chunk.text[0] != "\u200d"
        assert chunk.text[-1] != "\u200d"


def test_a_title_longer_than_those_below_it_leaves_room(count_word_pieces: Any) -> None:
    """A title with the section's heading may be cut shorter than the title without it."""
    title = " ".join(["One two three four five six seven."] * 7) + " End"
    text = f"# {'Heading ' * 20}\n\n" + "Words go on and on without a stop " * 200
    chunks = Chunker(256, count_word_pieces).split(Document("d", text, title))
    sizes = count_word_pieces([chunk.title for chunk in chunks])
    assert sizes[0] > sizes[1]  # else this tests nothing
    assert max(count_word_pieces([chunk.embedding_text for chunk in chunks])) <= 256


PIECES = st.sampled_from(
    ["word", "x" * 90, "Ende.", "e.g.", "你好。", "\n# Head", "\n", "\n\n", "\t", "3.5", "é́",
     FAMILY, "\n```\n", "\n| a. B |", "a | b", "\n## One. Two. Three words. And more\n\n"]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=300), st.lists(PIECES, max_size=150).map(lambda pieces: " ".join(pieces))
)


TITLES = st.one_of(
    st.sampled_from(["", "Title", "many words " * 40]),
    st.lists(st.sampled_from(["word", "Title.", "long-winded", "é́"]), max_size=40).map(" ".join),
)


def check_chunks(chunks: Sequence[Chunk], text: str, budget: int, count: CountTokens) -> None:
    """Check that chunks are exact, ordered, complete and within the budget."""
    position = 0
    for ordinal, chunk in enumerate(chunks):
        assert chunk.ordinal == ordinal
        assert chunk.text == text[chunk.start : chunk.end] == chunk.text.strip() != ""
        assert chunk.start >= position
        assert is_nothing(text[position : chunk.start], count)
        assert count([chunk.embedding_text])[0] <= budget
        position = chunk.end
    assert is_nothing(text[position:], count)


def is_nothing(text: str, count: CountTokens) -> bool:
    """Whether a tokenizer drops all of a text: white space, control characters."""
    return not text.strip() or count([text]) == count([""])


@settings(deadline=None)
@given(TEXTS, TITLES, st.integers(16, 80), st.sampled_from([count_words, count_bytes]))
def test_chunks_are_exact_ordered_complete_and_within_the_budget(
    text: str, title: str, max_tokens: int, count: CountTokens
) -> None:
    chunks = Chunker(max_tokens, count).split(Document("d", text, title))
    check_chunks(chunks, text, max_tokens, count)


@settings(deadline=None)
@given(TEXTS, TITLES, st.sampled_from([16, 48, 128, 256]))
def test_so_they_are_with_a_real_tokenizer(
    count_word_pieces: CountTokens, text: str, title: str, max_tokens: int
) -> None:
    chunks = Chunker(max_tokens, count_word_pieces).split(Document("d", text, title))
    check_chunks(chunks, text, max_tokens, count_word_pieces)
