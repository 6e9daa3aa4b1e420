"""Records of JSON, JSON lines and CSV: which fields are text, title and metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import load_whole

from expertrag_index.loaders import load
from expertrag_index.types import Document, LoadFailure
from expertrag_index.words.invisible import visible


def read(path: Path, content: Any) -> list[Document]:
    """Write a value as JSON, or a text as it is, and load it without a failure."""
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return load_whole(path)


@pytest.fixture
def record(tmp_path: Path) -> Any:
    """Load one record: ``(title, text, metadata)``, the same from JSON and from JSON lines."""

    def of(fields: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        (whole,) = read(tmp_path / "a.json", fields)
        (line,) = read(tmp_path / "a.jsonl", fields)
        assert (line.text, line.title, line.metadata) == (whole.text, whole.title, whole.metadata)
        return whole.title, whole.text, dict(whole.metadata)

    return of


def test_a_beir_record_has_only_its_text(tmp_path: Path) -> None:
    fields = {"_id": "d1", "title": "Tides", "text": " The moon. \n", "metadata": {"year": 1990}}
    (document,) = read(tmp_path / "corpus.jsonl", fields)
    source = "corpus.jsonl"
    assert document == Document("d1", " The moon. \n", "Tides", {"year": 1990}, None, source)


@pytest.mark.parametrize("name", ["content", "body", "article", "page_content", "Full Text"])
def test_a_title_does_not_replace_the_text(record: Any, name: str) -> None:
    text = "Staff may work from home two days a week."
    assert record({"title": "Remote work", name: text, "year": 2025}) == (
        "Remote work", f"{text}\n\nyear: 2025", {"year": 2025, "text_fields": [name]}
    )  # fmt: skip


def test_question_and_answer_are_text_in_this_order(record: Any) -> None:
    fields = {"answer": "Three months.", "tags": ["hr"], "question": "How long is the notice?"}
    assert record(fields) == (
        "How long is the notice?",
        "How long is the notice?\n\nThree months.\n\ntags: hr",
        {"tags": ["hr"], "text_fields": ["question", "answer"]},
    )


def test_an_answer_may_be_a_number_or_one_of_several(record: Any) -> None:
    assert record({"question": "How many?", "answer": 30})[1] == "How many?\n\nanswer: 30"
    fields = {"question": "Which?", "answers": ["The first.", "The second."]}
    assert record(fields)[1] == "Which?\n\nThe first.\n\nThe second."


def test_prose_and_then_short_values_are_added_to_the_text(record: Any) -> None:
    fields = {
        "text": "The main text.",
        "summary": "Short.",
        "remark_2": "Ask your team lead before the first time.",
        "author": "Ada Lovelace",
        "url": "https://example.com/a/b/c/d/e/f",
        "copy": "The main text.",
    }
    title, text, metadata = record(fields)
    assert title == ""
    assert text == (
        "The main text.\n\nsummary: Short.\n\nremark_2: Ask your team lead before the first time."
        "\n\ncopy: The main text."
        "\n\nauthor: Ada Lovelace\nurl: https://example.com/a/b/c/d/e/f"
    )
    assert metadata["text_fields"] == ["text", "summary", "remark_2", "copy"]
    assert metadata["author"] == "Ada Lovelace"
    assert metadata["url"] == fields["url"]


def test_equal_texts_are_written_once(record: Any) -> None:
    assert record({"text": "Once.", "content": "Once."}) == ("", "Once.", {})


def test_nested_fields_are_found(record: Any) -> None:
    fields = {
        "_source": {"title": "Parking", "body": "Free on level two.", "lang": "en"},
        "author": {"name": "Ada", "teams": ["hr", "it"]},
    }
    assert record(fields) == (
        "Parking",
        "Free on level two.\n\n_source.lang: en\nauthor.name: Ada\nauthor.teams: hr, it",
        {
            "_source.title": "Parking", "_source.lang": "en", "author.name": "Ada",
            "author.teams": ["hr", "it"], "text_fields": ["_source.body"],
        },
    )  # fmt: skip
    assert record({"text": {"value": "Inside."}})[1] == "Inside."


def test_lists_of_texts_and_of_records_are_text(record: Any) -> None:
    fields = {
        "headline": "Canteen",
        "paragraphs": ["It opens at eleven.", "It closes at two."],
        "sections": [
            {"heading": "Prices", "text": "Six euros."},
            {"heading": "Payment", "text": "Cards only.", "notes": ["We take no cash."]},
        ],
    }
    title, text, metadata = record(fields)
    assert title == "Canteen"
    assert text == (
        "It opens at eleven.\n\nIt closes at two.\n\n## Prices\n\nSix euros.\n\n## Payment\n\n"
        "Cards only.\n\nnotes:\n- We take no cash."
    )
    assert metadata["text_fields"] == ["paragraphs", "sections"]
    assert metadata["sections.heading"] == ["Prices", "Payment"]
    editor = {"content": [{"type": "p", "content": [{"text": "Hello."}]}]}
    assert record(editor)[1] == "Hello."


def test_a_record_without_a_text_is_a_row_of_all_its_fields(record: Any) -> None:
    fields = {"product": "Lamp", "price": 19.5, "in_stock": False, "colours": ["red", "blue"]}
    assert record(fields) == (
        "",
        "product: Lamp\nprice: 19.5\nin_stock: false\ncolours: red, blue",
        {**fields, "text_fields": list(fields)},
    )
    assert record({"name": "Lamp", "price": 20.0})[1] == "name: Lamp\nprice: 20"
    title, text, metadata = record({"_id": "7", "name": "Lamp", "description": "Warm light."})
    assert (title, text) == ("Lamp", "name: Lamp\ndescription: Warm light.")
    assert metadata["name"] == "Lamp"
    assert record({"title": "Lamp", "price": 5})[:2] == ("Lamp", "title: Lamp\nprice: 5")


def test_an_article_may_be_a_number(record: Any) -> None:
    title, text, metadata = record({"article": "FS-1001", "name": "Hub", "price_eur": 389.5})
    assert title == "Hub"
    assert text == "article: FS-1001\nname: Hub\nprice_eur: 389.5"
    assert metadata["article"] == "FS-1001"


def test_long_texts_are_not_metadata(record: Any) -> None:
    words = "word " * 100
    assert record({"manual": words})[2] == {"text_fields": ["manual"]}
    _, text, metadata = record({"text": "t", "key": "k" * 500})
    assert (text, metadata["key"]) == ("t", "k" * 500)  # the data of a picture, say


def test_mixed_lists_keep_their_values(record: Any) -> None:
    _, text, metadata = record({"name": "Mix", "list": [1, "a", True, None, {"x": 2}, ["b", []]]})
    for item in ("1", "a", "true", "x: 2", "b"):
        assert item in text
    assert metadata["list"] == [1, "a", True, "b"]
    assert metadata["list.x"] == [2]


def test_embeddings_are_neither_text_nor_metadata(record: Any) -> None:
    vector = [0.5] * 384
    assert record({"text": "Main.", "vector": vector, "metadata": {"v": vector, "n": 1}}) == (
        "", "Main.", {"n": 1}
    )  # fmt: skip


def test_fields_too_large_for_metadata_are_text(record: Any) -> None:
    _, text, metadata = record({"text": "Main.", "keywords": [f"k{i}" for i in range(300)]})
    assert text.endswith("k298, k299")
    assert metadata == {"text_fields": ["text", "keywords"]}
    glossary = {f"TERM{i}": f"meaning {i}" for i in range(5000)}
    _, text, metadata = record(glossary)
    assert text.splitlines()[-1] == "TERM4999: meaning 4999"
    assert len(metadata) == 101


def test_a_huge_record_is_read_whole(record: Any) -> None:
    _, text, metadata = record({"lines": ["A sentence of a few words."] * 50_000, "title": "Log"})
    assert text.count("A sentence of a few words.") == 50_000
    assert metadata == {"text_fields": ["lines", "title"]}


def test_records_inside_a_wrapper_are_documents(tmp_path: Path) -> None:
    why, how = {"question": "Why?", "answer": "So."}, {"question": "How?", "answer": "Thus."}
    wrapped = {"version": "1", "total": 2, "data": {"faq": [why, {"id": "x", **how}]}}
    first, second = read(tmp_path / "a.json", wrapped)
    assert (first.id, second.id) == ("a.json#1", "x")
    assert first.text == "Why?\n\nSo."
    assert first.metadata == {
        "version": "1", "total": 2, "text_fields": ["question", "answer"]
    }  # fmt: skip
    (whole,) = read(tmp_path / "a.json", {"product": "Lamp", "reviews": [{"text": "Bright."}]})
    assert (whole.id, whole.text) == ("a.json", "product: Lamp\n\nreviews:\n\nBright.")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"model": "tiny", "messages": [{"role": "user", "content": "Hi."}, {"text": "Yes."}]},
            "model: tiny\n\nmessages:\n\nrole: user\nHi.\n\nYes.",
        ),
        (
            {"name": "Team", "messages": [{"from": "Ann", "type": "message", "text": "Hi"}]},
            "messages:\n\nfrom: Ann\nHi",
        ),
        ({"user": "U1", "ts": "1.5", "text": "Hi."}, "Hi.\n\nuser: U1\nts: 1.5"),
        ({"title": "Lamp", "name": "Lamp", "text": "Warm.", "warranty": "2 years"},
         "Warm.\n\nwarranty: 2 years"),
        ({"_id": "7", "id": 7, "domain": "x", "text": "Warm.", "n": 0}, "Warm.\n\nid: 7\nn: 0"),
    ],
    ids=["a chat with a model", "a chat of a messenger", "a message", "short fields", "own fields"],
)  # fmt: skip
def test_who_said_it_and_other_short_fields_are_in_the_text(
    record: Any, fields: dict[str, Any], text: str
) -> None:
    assert record(fields)[1] == text


def test_json_lines_may_be_named_json(tmp_path: Path) -> None:
    documents = read(tmp_path / "a.json", '{"text": "One."}\n\n{"text": "Two."}\n')
    assert [(document.id, document.text) for document in documents] == [
        ("a.json#1", "One."), ("a.json#2", "Two.")
    ]  # fmt: skip


def test_strings_are_records_of_a_text(tmp_path: Path) -> None:
    documents = read(tmp_path / "a.json", ["First fact.", "Second fact."])
    assert [document.text for document in documents] == ["First fact.", "Second fact."]


def test_columns_of_a_table_follow_the_same_rules(tmp_path: Path) -> None:
    table = "Question,Answer,Category,Votes\nWho?,Ada.,people,007\n"
    (document,) = read(tmp_path / "a.csv", table)
    assert (document.title, document.text) == (
        "Who?",
        "Who?\n\nAda.\n\nCategory: people\nVotes: 007",
    )
    assert document.metadata == {
        "Category": "people", "Votes": "007", "text_fields": ["Question", "Answer"]
    }  # fmt: skip
    (row,) = read(tmp_path / "a.csv", "product,price\nLamp,10.50\n")
    assert row.text == "product: Lamp\nprice: 10.50"
    assert row.metadata["price"] == 10.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(["text", "title", "content", "answer", "x", "y"]), JSON))
def test_every_word_of_a_record_is_in_its_document(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Or the record is rejected: nothing is dropped silently."""
    (tmp_path / "a.jsonl").write_text(json.dumps(fields), encoding="utf-8")
    failures: list[LoadFailure] = []
    documents = list(load([tmp_path / "a.jsonl"], on_failure=failures.append))
    if not documents:
        assert failures
        return
    (document,) = documents
    held: list[object] = [document.title, document.text]
    for value in document.metadata.values():
        held += value if isinstance(value, list) else [value]
    everything = "\n".join(map(str, held))
    for word in words_of(fields):
        assert " ".join(word.split()) in " ".join(everything.split())


def words_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for inner in value.values() for word in words_of(inner)]
    if isinstance(value, list):
        return [word for inner in value for word in words_of(inner)]
    shown = visible(value.replace("\0", "")) if isinstance(value, str) else ""
    return [shown] if shown.strip() else []
