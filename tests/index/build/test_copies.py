from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from expertrag_index.build.copies import Copies
from expertrag_index.types import Document, LoadFailure

WORDS = [f"word{number}" for number in range(4000)]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        yield opened


def text_of(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def notices(connection: sqlite3.Connection, *texts: str) -> list[LoadFailure]:
    copies = Copies(connection)
    documents = [Document(f"d{n}", text, source=f"s/d{n}") for n, text in enumerate(texts)]
    assert list(copies.watch(documents)) == documents
    return copies.notices()


def test_the_same_words_are_a_copy_however_they_are_set(connection: sqlite3.Connection) -> None:
    (notice,) = notices(
        connection, "One two three four.", "Other words are here", "one TWO\nthree four"
    )
    assert (notice.source, notice.notice) == ("s/d2", True)
    assert notice.reason == "1 document has nearly the text of another: d2 and d0"


def test_a_few_changed_words_leave_a_copy(connection: sqlite3.Connection) -> None:
    found = 0
    for seed in range(50):
        words = text_of(400, seed).split()
        changed = [*words[:100], "new", *words[100:300], "newer", *words[302:]]
        found += bool(notices(connection, " ".join(words), text_of(400, 99), " ".join(changed)))
    assert found == 50


@pytest.mark.parametrize("words", [3, 10, 30, 200])
def test_other_texts_are_no_copies(connection: sqlite3.Connection, words: int) -> None:
    rows = [f"{text_of(words, 1)} row {number}" for number in range(200)]  # of one template
    assert notices(connection, *rows[: 200 if words < 50 else 1]) == []
    assert notices(connection, *(text_of(words, seed) for seed in range(500))) == []


def test_half_of_a_text_is_no_copy(connection: sqlite3.Connection) -> None:
    for seed in range(50):
        both = text_of(300, seed)
        assert notices(connection, f"{both} {text_of(150, 77)}", f"{both} {text_of(150, 88)}") == []


def test_many_copies_are_counted_with_examples(connection: sqlite3.Connection) -> None:
    (notice,) = notices(connection, *[text_of(60, 5)] * 1000)
    assert notice.reason.startswith("999 documents have nearly the text of another: d1 and d0, d2")
    assert notice.reason.endswith(" and 994 more")
    assert notice.reason.count(" and d") == 5
