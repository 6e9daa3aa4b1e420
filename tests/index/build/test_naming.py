"""The title of a document with the name of its file."""

from __future__ import annotations

import pytest

from expertrag_index.build.chunk import Chunker
from expertrag_index.build.naming import make_title, path_of
from expertrag_index.types import Document


@pytest.mark.parametrize(
    ("name", "source", "path"),
    [
        ("legal/meyer.docx", "/share/legal/meyer.docx", "legal/meyer.docx"),
        ("staff/2024.csv#12", "/share/staff/2024.csv", "staff/2024.csv"),
        ("E-1007", "/share/staff/2024.csv", ""),  # a record with an id of its own
        ("2024.csv", "/share/staff/12024.csv", ""),
        ("legal/meyer.docx", "", ""),  # sent by a client
        ("", "/share/staff/2024.csv", ""),
    ],
)
def test_only_an_id_made_from_a_path_is_one(name: str, source: str, path: str) -> None:
    assert path_of(name, source) == path


@pytest.mark.parametrize(
    ("title", "name", "named"),
    [
        ("Services agreement", "legal/Meyer AG.docx", "Services agreement (Meyer AG)"),
        ("Agreement", "legal/Agreement - Meyer AG.docx", "Agreement - Meyer AG"),
        ("Travel policy 2025", "hr/travel-policy.docx", "Travel policy 2025"),
        ("", "hr/travel-policy.docx", "travel-policy"),
        ("Ana Kovac", "staff.csv#3", "Ana Kovac"),
    ],
)
def test_a_title_gets_the_words_of_the_file_name_that_it_lacks(
    title: str, name: str, named: str
) -> None:
    source = f"/share/{name.partition('#')[0]}"
    assert make_title(Document(name, "Text.", title, source=source)) == named


def test_chunks_are_titled_by_the_file_and_the_headings_above_them() -> None:
    text = f"# Agreement\n\n{'Between two. ' * 20}\n\n## Term\n\n{'One may end it. ' * 20}"
    document = Document("Meyer AG.md", text, "Agreement", source="/share/Meyer AG.md")
    chunks = Chunker(60, lambda texts: [len(text.split()) + 2 for text in texts]).split(document)
    assert {chunk.title for chunk in chunks} == {
        "Agreement (Meyer AG)",
        "Agreement (Meyer AG) > Term",
    }
