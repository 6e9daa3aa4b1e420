from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_index.words import sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences.spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith paid 3.14 dollars. He left.", ["Dr. Smith paid 3.14 dollars.", "He left."]),
        ("It ends at 5 p.m. The U.S. Army came.", ["It ends at 5 p.m.", "The U.S. Army came."]),
        ("Use e.g. Make (see Fig. 3). Yes.", ["Use e.g. Make (see Fig. 3).", "Yes."]),
        ('He said "Go." Then left.[1] So.', ['He said "Go."', "Then left.[1]", "So."]),
        ("Really?! No... maybe not. J. Doe did.", ["Really?!", "No... maybe not.", "J. Doe did."]),
        ("Dumps a database. pg_dump is fast.", ["Dumps a database.", "pg_dump is fast."]),
        ("Let it be x. Then J. Doe came.", ["Let it be x.", "Then J. Doe came."]),
        ("1. Open it. Look.\n2. Close it.", ["1. Open it.", "Look.", "2. Close it."]),
        ("A heading\n\nand text\nin lines\n# Next", ["A heading", "and text\nin lines", "# Next"]),
        ("他来了。我走了\uff01好", ["他来了。", "我走了\uff01", "好"]),
        ("هل جاء؟ نعم.", ["هل جاء؟", "نعم."]),
        ("No. It is not. See No. 5 there.", ["No.", "It is not.", "See No. 5 there."]),
        ("Costs approx. 5. Approx. Six.", ["Costs approx. 5.", "Approx. Six."]),
        ("The assoc. Judge and Messrs. Doe left. They won.",
         ["The assoc. Judge and Messrs. Doe left.", "They won."]),
        ("It rusts. iron does not.. Right.", ["It rusts.", "iron does not..", "Right."]),
        ("", []),
        (" \n\t ", []),
    ],
)  # fmt: skip
def test_splits_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert split(text) == expected


@given(st.text(alphabet=st.sampled_from("aB1 .!?。\n\"')[]-#é\f\u2028"), max_size=200))
def test_every_character_is_in_one_trimmed_span(text: str) -> None:
    spans = sentences.spans(text)
    position = 0
    for start, end in spans:
        assert not text[position:start].strip()
        assert text[start:end].strip() == text[start:end] != ""
        position = end
    assert not text[position:].strip()


@pytest.mark.parametrize("unit", [".", ". ", ".)", "1. ", "\n \n", "\n ", ".[1]", "a"])
def test_time_is_linear_in_the_length(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = time.perf_counter()
    sentences.spans(text)
    assert time.perf_counter() - started < 15  # a quadratic scan would take hours
