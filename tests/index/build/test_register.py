"""Which of the documents of a store a run has seen, and which of its own it may not stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from store_helper import HashingEmbedder, build

from expertrag_index.build.register import DocumentRegister
from expertrag_index.store.layout import Layout
from expertrag_index.store.schema import connect_writer
from expertrag_index.types import Document, LoadFailure

STORED = [Document(f"{name}.md", f"text of {name}", source=f"notes/{name}.md") for name in "abc"]


@pytest.fixture
def register(tmp_path: Path) -> Iterator[DocumentRegister]:
    build(tmp_path / "store", HashingEmbedder(), STORED)
    with closing(connect_writer(Layout(tmp_path / "store").database, create=False)) as connection:
        yield DocumentRegister(connection, 2)


def test_documents_that_are_not_seen_again_have_vanished(register: DocumentRegister) -> None:
    register.add(STORED[0])
    assert len(register.find_vanished(())) == 2
    assert len(register.find_vanished((), ["notes/b.md"])) == 1
    assert register.find_vanished((), ()) == []
    failed = LoadFailure("notes", "cannot be read", "try again")
    assert register.find_vanished([failed]) == []


def test_an_id_is_used_once(register: DocumentRegister) -> None:
    assert register.find_problem(STORED[0]) is None
    register.add(STORED[0])
    problem = register.find_problem(Document("a.md", "another text", source="other/a.md"))
    assert problem is not None
    assert "already used by notes/a.md" in problem.reason


def test_an_id_belongs_to_the_source_that_has_stored_it(register: DocumentRegister) -> None:
    other = Document("a.md", "another text", source="other/a.md")
    owner = register.find_owner(other, ())
    assert owner is not None
    assert "belongs to notes/a.md" in owner.reason
    assert register.find_owner(other, ["notes/a.md"]) is None
    assert register.find_owner(STORED[0], ()) is None


def test_only_stored_documents_have_a_hash(register: DocumentRegister) -> None:
    assert register.read_hash("a.md") is not None
    assert register.read_hash("d.md") is None
