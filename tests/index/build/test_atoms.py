from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_index.build.atoms import atoms, cells_of, lines_of_code


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in atoms(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two\nlines.", ["One.", "Two\nlines."]),
        ("Name: A. B. | Place: Rome. North\nName: C | Place: Oslo\nAfter. All.",
         ["Name: A. B. | Place: Rome. North", "Name: C | Place: Oslo", "After.", "All."]),
        ("Before.\n | a. b | c\nAfter.", ["Before.", "| a. b | c", "After."]),
        ("|a|\n|-|\n|Go. On|", ["|a|", "|-|", "|Go. On|"]),
        ("a. B | c | d", ["a. B | c | d"]),
        ("Use `ls | wc`. It counts\nfiles.", ["Use `ls | wc`.", "It counts\nfiles."]),
        ("# Use. A | b\n| c. D |", ["# Use.", "A | b", "| c. D |"]),
        ("So:\n\n```\na. B\n\n| c. D |\n```\n\nThen. Stop.",
         ["So:", "```\na. B\n\n| c. D |\n```", "Then.", "Stop."]),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_rows_and_code_are_whole(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


LINES = st.sampled_from(
    ["```", "~~~", "| a | b. C |", "x | y", "One. Two", "", "  z. A", "# H", "\t", "|", " | "]
)


@given(st.lists(LINES, max_size=15).map("\n".join))
def test_every_character_is_in_one_trimmed_atom(text: str) -> None:
    position = 0
    for start, end in atoms(text):
        assert not text[position:start].strip()
        assert text[start:end].strip() == text[start:end] != ""
        position = end
    assert not text[position:].strip()


def test_fences_stay_with_the_lines_next_to_them() -> None:
    code = "```py\na = 1\n\n    b = 2\nc = 3\n```"
    lines = [code[start:end] for start, end in lines_of_code(code, 0, len(code))]
    assert lines == ["```py\na = 1", "b = 2", "c = 3\n```"]
    assert lines_of_code("a\nb", 0, 3) == [(0, 3)]


def test_cells_keep_their_bars() -> None:
    row = "| Name: A | Place: B  | C |"
    assert [row[start:end] for start, end in cells_of(row, 0, len(row))] == [
        "| Name: A |",
        "Place: B  |",
        "C |",
    ]


@pytest.mark.parametrize(
    "unit", ["|", " | ", "a | b\n", "| a. B\n", "```\n", "~~~ x\n", "``` `\n", "a |", " \n|"]
)
def test_time_is_linear_in_the_length(unit: str) -> None:
    text = unit * (500_000 // len(unit))
    started = time.perf_counter()
    atoms(text)
    assert time.perf_counter() - started < 15  # a quadratic scan would take hours
