"""What was skipped is listed with its reason until it is read again or gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sources_helper import StoreInStep, write_notes
from store_helper import HashingEmbedder, build

from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.listing import SkippedFile
from expertrag_index.types import Document


def listed(store: Path, labels: tuple[str, ...] | None = None) -> list[str]:
    with Index.open(store) as opened:
        seen = opened if labels is None else opened.restrict(labels)
        files = seen.catalog.list_skipped()
        assert seen.catalog.count_skipped() == len(files)
        return [file.source for file in files]


@pytest.fixture
def broken(kept: StoreInStep, notes: Path) -> Path:
    """A record without its end, and a file that no loader reads, beside the notes."""
    (notes / "records.json").write_text("[")
    (notes / "photo.xyz").write_text("…")
    kept.step(kept.folder(notes))
    return notes / "records.json"


def test_losses_come_first_with_their_cures(kept: StoreInStep, broken: Path) -> None:
    with Index.open(kept.store) as opened:
        loss, notice = opened.catalog.list_skipped()
        assert (loss.source, loss.notice) == ("notes/records.json", False)
        assert loss.reason
        assert loss.cure
        assert (notice.source, notice.notice) == ("notes/*.xyz", True)
        assert opened.catalog.list_skipped(after=loss) == [notice]
        assert opened.catalog.list_skipped(limit=1) == [loss]


def test_a_file_that_is_cured_or_gone_is_not_listed(
    kept: StoreInStep, notes: Path, broken: Path
) -> None:
    kept.step(kept.folder(notes))
    assert listed(kept.store) == ["notes/records.json", "notes/*.xyz"]
    (notes / "photo.xyz").unlink()
    kept.step(kept.folder(notes))
    assert listed(kept.store) == ["notes/records.json"]
    broken.write_text('[{"text": "whole"}]')
    kept.step(kept.folder(notes))
    assert listed(kept.store) == []
    broken.write_text("[")
    kept.step(kept.folder(notes))
    assert listed(kept.store) == ["notes/records.json"]
    broken.unlink()
    kept.step(kept.folder(notes))
    assert listed(kept.store) == []


def test_another_folder_does_not_touch_it(kept: StoreInStep, broken: Path, tmp_path: Path) -> None:
    other = write_notes(tmp_path / "other", z="About quinces.")
    kept.step(kept.folder(other))
    assert listed(kept.store) == ["notes/records.json", "notes/*.xyz"]


def test_a_folder_that_is_away_keeps_its_list(
    kept: StoreInStep, notes: Path, broken: Path, tmp_path: Path
) -> None:
    notes.rename(tmp_path / "away")
    kept.step(kept.folder(notes))
    assert "notes/records.json" in listed(kept.store)


def test_a_restricted_reader_sees_nothing(tmp_path: Path) -> None:
    kept = StoreInStep(tmp_path)
    notes = write_notes(tmp_path / "notes", a="About roses.")
    (notes / "records.json").write_text("[")
    kept.step(kept.folder(notes))
    with kept.writer() as writer:
        writer.add([Document(id="secret", text="About keys.", labels=("board",))])
    assert listed(kept.store) == ["notes/records.json"]
    assert listed(kept.store, ("board",)) == []


def test_a_store_without_a_ledger_or_with_a_damaged_one(
    kept: StoreInStep, broken: Path, tmp_path: Path
) -> None:
    ledger = Layout(kept.store).ledger
    ledger.write_bytes(b"no database" * 100)
    assert listed(kept.store) == []
    ledger.unlink()
    assert listed(kept.store) == []
    build(tmp_path / "plain", HashingEmbedder(), [Document(id="a", text="About roses.")])
    assert listed(tmp_path / "plain") == []


def test_a_ledger_of_the_version_before(kept: StoreInStep, notes: Path) -> None:
    import sqlite3

    kept.step(kept.folder(notes))
    with sqlite3.connect(Layout(kept.store).ledger) as connection:
        connection.execute("DROP TABLE skipped")
    assert listed(kept.store) == []
    (notes / "records.json").write_text("[")
    assert kept.step(kept.folder(notes)).read == ("notes/records.json",)  # the items are kept
    assert listed(kept.store) == ["notes/records.json"]


def test_the_order_is_that_of_the_fields() -> None:
    a, b = SkippedFile(False, "z", "", "", ""), SkippedFile(True, "a", "", "", "")
    assert sorted([b, a]) == [a, b]


def test_the_writer_is_not_needed(kept: StoreInStep, broken: Path) -> None:
    with IndexWriter.open(kept.store, kept.embedder):
        assert listed(kept.store) == ["notes/records.json", "notes/*.xyz"]
