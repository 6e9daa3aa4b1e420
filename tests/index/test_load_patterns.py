"""Patterns choose which files of a folder are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from expertrag_index.errors import PatternError
from expertrag_index.loaders import load
from expertrag_index.types import LoadFailure

FILES = (
    "top.md",
    "notes.txt",
    "manual/a.md",
    "manual/old/b.md",
    "manual/drafts/c.md",
    "drafts/d.md",
    "drafts.md",
    "data/corpus.jsonl",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"_id": "beir", "text": "A record."}' if "corpus" in name else "A text.")
    return tmp_path / "docs"


def read(*paths: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[str]:
    failures: list[LoadFailure] = []
    documents = load(paths, on_failure=failures.append, include=include, exclude=exclude)
    found = sorted(document.id for document in documents)
    assert failures == []
    return found


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], ["drafts/"], ["beir", "drafts.md", "manual/a.md", "manual/old/b.md", "notes.txt",
                           "top.md"]),
        (["*.txt"], [], ["notes.txt"]),
        (["manual/"], ["old/"], ["manual/a.md", "manual/drafts/c.md"]),
        (["/*.md"], [], ["drafts.md", "top.md"]),
        (["*.md", "!top.md"], ["manual/**/[bc].md"], ["drafts.md", "drafts/d.md", "manual/a.md"]),
        (["corpus.jsonl"], [], ["beir"]),
        (["*.md"], ["*"], []),
        ([], ["data"], ["drafts.md", "drafts/d.md", "manual/a.md", "manual/drafts/c.md",
                        "manual/old/b.md", "notes.txt", "top.md"]),
    ],
)  # fmt: skip
def test_patterns_are_those_of_gitignore(
    folder: Path, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    assert read(folder, include=include, exclude=exclude) == expected


def test_a_file_that_is_named_itself_is_read(folder: Path) -> None:
    assert read(folder / "top.md", include=["*.txt"], exclude=["*.md"]) == ["top.md"]


def test_excluded_files_of_unknown_type_are_not_reported(folder: Path) -> None:
    (folder / "image.png").write_bytes(b"")
    assert "top.md" in read(folder, exclude=["*.png"])


def test_an_invalid_pattern_is_named(folder: Path) -> None:
    with pytest.raises(PatternError, match=r"exclude: .*'!'.*gitignore"):
        read(folder, exclude=["!"])
