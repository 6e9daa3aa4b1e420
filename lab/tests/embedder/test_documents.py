"""Pairs from documents alone."""

from __future__ import annotations

from expertrag_lab.embedder.documents import Text, from_documents

BODY = "Water is heated under pressure until it turns to steam, which drives the pistons of it. "


def test_titles_and_headings_are_paired_with_the_text_below() -> None:
    text = f"{BODY * 2}\n\n# The boiler of old\n{BODY * 3}\n## Safety valves today\n{BODY * 2}\n"
    source = from_documents("engines", [Text("a", "How engines work", text)])
    assert [(pair.query, pair.document) for pair in source.pairs] == [
        ("How engines work", "a"),
        ("The boiler of old", "a#0"),
        ("Safety valves today", "a#1"),
    ]
    assert source.corpus["a"] == (BODY * 2).strip()
    assert "Safety" not in source.corpus["a#0"]


def test_uninformative_titles_are_left_out() -> None:
    documents = [
        Text("one word", "Engines", BODY * 2),
        Text("twice 1", "General remarks", BODY * 2),
        Text("twice 2", "general  Remarks", BODY * 2),
        Text("short", "A fine title", "Too little text."),
        Text("quoted", "turns to steam", BODY * 2),
        Text("endless", "word " * 30, BODY * 2),
        Text("none", "", BODY * 2),
        Text("kept", "Pistons and valves", BODY * 2),
    ]
    source = from_documents("engines", documents)
    assert [pair.document for pair in source.pairs] == ["kept"]
    assert list(source.corpus) == ["kept"]
