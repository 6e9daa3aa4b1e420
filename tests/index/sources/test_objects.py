"""Folders of object stores, with file systems of fsspec that need no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from sources_helper import LIMITS, StoreInStep, write_notes

from expertrag_index.loaders import ReadLimits
from expertrag_index.loaders.base import Unreadable
from expertrag_index.sources.objects import ObjectSource
from expertrag_index.sources.scratch import Scratch


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    with Scratch() as folder:
        yield folder


def test_objects_are_read_again_only_if_they_changed(
    kept: StoreInStep, notes: Path, scratch: Scratch
) -> None:
    write_notes(notes / "garden", d="About elms.")
    (notes / ".hidden.md").write_text("Hidden.")
    (notes / "picture.png").write_bytes(b"\x89PNG")
    source = ObjectSource(f"file://{notes}", LIMITS, scratch)
    assert kept.step(source).added == 4
    assert kept.texts[f"file://{notes}/garden/d.md"] == "About elms."
    assert kept.step(source).read == ()

    write_notes(notes, a="About peonies.")
    (notes / "b.md").unlink()
    report = kept.step(source)
    assert (report.added, report.changed, report.removed, report.unchanged) == (0, 1, 1, 2)


def test_many_objects_leave_no_files_behind(kept: StoreInStep, notes: Path) -> None:
    write_notes(notes, **{f"n{i}": f"About plant {i}." for i in range(80)})
    with Scratch() as scratch:
        assert kept.step(ObjectSource(f"file://{notes}", LIMITS, scratch)).added == 83
        folder = scratch.passing(".md").parent
        assert len(list(folder.iterdir())) <= 32
    assert not folder.exists()


def test_patterns_and_limits(kept: StoreInStep, notes: Path, scratch: Scratch) -> None:
    write_notes(notes / "drafts", d="About elms.")
    write_notes(notes, large="x" * 5_000)
    limits = ReadLimits(max_file_bytes=1_000)
    source = ObjectSource(
        f"file://{notes}", limits, scratch, include=["*.md"], exclude=["drafts/", "a.md"]
    )
    report = kept.step(source)
    assert (report.added, [failure.reason for failure in report.failures]) == (
        2,
        ["the object is larger than 0.000953674 MiB"],
    )


def test_an_emptied_or_missing_folder_keeps_its_documents(
    kept: StoreInStep, notes: Path, scratch: Scratch
) -> None:
    source = ObjectSource(f"file://{notes}", LIMITS, scratch)
    kept.step(source)
    for file in notes.iterdir():
        os.unlink(file)
    (plan,) = kept.stepper.plan([source])
    assert (plan.unavailable, plan.gone) == ("no object is left in it", [])


def test_objects_without_a_version_are_read_each_time(kept: StoreInStep, scratch: Scratch) -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/manual/a.md", b"About roses.")
    try:
        source = ObjectSource("memory://manual", LIMITS, scratch)
        assert kept.step(source).added == 1
        files.pipe("/manual/a.md", b"About tulips.")
        assert kept.step(source).changed == 1
        assert kept.texts == {"memory://manual/a.md": "About tulips."}
    finally:
        files.rm("/manual", recursive=True)


@pytest.mark.parametrize("url", ["https://example.com/x/", "simplecache::http://10.0.0.1/x"])
def test_pages_are_not_opened_this_way(url: str, scratch: Scratch) -> None:
    with pytest.raises(Unreadable, match="not a folder of an object store"):
        ObjectSource(url, LIMITS, scratch)


def test_what_is_missing_is_said(kept: StoreInStep, scratch: Scratch) -> None:
    (plan,) = kept.stepper.plan([ObjectSource("gs://bucket/notes", LIMITS, scratch)])
    assert "pip install" in plan.unavailable
