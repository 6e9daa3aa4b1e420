"""Pair files: every kind of record, splits, and errors for damaged lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from file_helper import write_lines

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.data.domain_texts import domain_texts
from expertrag_lab.data.pair_files import read_pairs
from expertrag_lab.data.pairs import domain_sources
from expertrag_lab.embedder.types import Pair


def test_queries_with_positives_and_negatives(tmp_path: Path) -> None:
    records = [
        {"query": "q1", "positive": "right"},
        {"query": "q2", "positive": "right", "negative": "wrong"},
        {"query": "q1", "negative": "other"},
    ]
    path = write_lines(tmp_path / "faq.jsonl", records)
    source = read_pairs(path)
    assert source.name == "faq"
    assert source.corpus == {"0": "right", "1": "wrong", "2": "other"}
    assert source.pairs == (Pair("q1", "0"), Pair("q2", "0"))


def test_texts_of_a_label_are_queries_for_its_first_text(tmp_path: Path) -> None:
    records = [
        {"text": "where is my card", "label": "arrival"},
        {"text": "wrong rate", "label": "rate"},
        {"text": "card not here yet", "label": "arrival"},
        {"text": "where is my card", "label": "arrival"},  # its own document
        {"text": "alone", "label": "single"},
        {"text": "still no card", "label": "arrival"},
    ]
    source = read_pairs(write_lines(tmp_path / "intents.jsonl.gz", records))
    assert source.name == "intents"
    assert list(source.corpus.values()) == ["where is my card", "wrong rate", "alone"]
    assert source.pairs == (Pair("card not here yet", "0"), Pair("still no card", "0"))


def test_descriptions_are_queries_for_examples(tmp_path: Path) -> None:
    record = {"command": "ls", "summary": "List.", "description": "List all", "example": "ls -a"}
    source = read_pairs(write_lines(tmp_path / "x.jsonl", [record]))
    assert source.corpus == {"0": "ls -a"}
    assert source.pairs == (Pair("List all", "0"),)


def test_other_splits_are_skipped(tmp_path: Path) -> None:
    records: list[dict[str, str]] = [
        {"query": "a", "positive": "b", "split": "train"},
        {"query": "c", "positive": "d"},
        {"query": "e", "positive": "f", "split": "test"},
        {"split": "test"},
    ]
    path = write_lines(tmp_path / "x.jsonl", records)
    assert [pair.query for pair in read_pairs(path).pairs] == ["a", "c"]
    with pytest.raises(InvalidArgument, match="line 4"):
        read_pairs(path, "test")
    with pytest.raises(InvalidArgument, match="no record of the split 'dev'"):
        read_pairs(path, "dev")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "a"', "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        (
            '{"question": "a", "answer": "b"}',
            "line 2 is a record with unknown fields; it needs query",
        ),
        ('{"query": "a", "positive": 3}', "line 2 has a positive that is not text; fix it"),
        ('{"text": "a", "label": "\\ud800"}', "line 2 has a label that is not text; fix it"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"query": "a", "positive": "b"}\n' + line + "\n")
    with pytest.raises(InvalidArgument, match=f"x.jsonl {message}"):
        read_pairs(path)


def test_a_damaged_archive_and_a_missing_file(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl.gz", [{"query": "a", "positive": "b"}])
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(InvalidArgument, match="damaged gzip"):
        read_pairs(path)
    with pytest.raises(NotFound, match="nowhere"):
        domain_sources({"x": [tmp_path / "nowhere.jsonl"]})


def test_files_and_folders_together(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "faq.jsonl", [{"query": "a", "positive": "b"}])
    small = Path(__file__).parents[3] / "tests" / "data" / "tatqa_small"
    names = [source.name for source in domain_sources({"x": [path, small]})["x"]]
    assert names == ["faq", "tatqa_small"]


def test_the_router_learns_queries_and_documents(tmp_path: Path) -> None:
    records = [{"query": f"q{n}", "positive": f"d{n}", "negative": "n"} for n in range(3)]
    held = {"query": "held out", "positive": "of the test split", "split": "test"}
    path = write_lines(tmp_path / "faq.jsonl", [*records, held])
    texts = domain_texts({"x": [path]}, "train", 10, 0)
    assert sorted(texts["x"]) == ["d0", "d1", "d2", "n", "q0", "q1", "q2"]
    assert domain_texts({"x": [path]}, "test", 10, 0) == {"x": ["held out", "of the test split"]}
    assert len(domain_texts({"x": [path]}, "train", 2, 0)["x"]) == 4
