"""A store is brought into step with folders, and with nothing else."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from file_helper import write_lines
from sources_helper import StoreInStep, write_notes
from store_helper import make_corpus

from expertrag_index.loaders import ReadLimits
from expertrag_index.sources.ledger import Ledger
from expertrag_index.sources.step import StepReport
from expertrag_index.types import Document


def counts(report: StepReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.unchanged, report.removed


def test_new_changed_renamed_and_deleted_files(kept: StoreInStep, notes: Path) -> None:
    source = kept.folder(notes)
    assert counts(kept.step(source)) == (3, 0, 0, 0)
    assert counts(kept.step(source)) == (0, 0, 3, 0)

    write_notes(notes, b="About tulips and bulbs.", d="About elms.")
    (notes / "a.md").unlink()
    (notes / "c.md").rename(notes / "e.md")
    report = kept.step(source)

    assert counts(report) == (2, 1, 0, 2)
    assert report.generation == 2  # one write for all
    assert kept.texts == {
        "b.md": "About tulips and bulbs.",
        "d.md": "About elms.",
        "e.md": "About oaks.",
    }


def test_a_file_of_known_size_and_time_is_not_read(kept: StoreInStep, notes: Path) -> None:
    kept.step(kept.folder(notes))
    before = (notes / "a.md").stat()
    (notes / "a.md").write_text("About ROSES.")
    os.utime(notes / "a.md", ns=(before.st_atime_ns, before.st_mtime_ns))
    report = kept.step(kept.folder(notes))
    assert (report.read, kept.texts["a.md"]) == ((), "About roses.")


def test_files_are_read_again_if_they_are_read_differently(kept: StoreInStep, notes: Path) -> None:
    kept.step(kept.folder(notes))
    report = kept.step(kept.folder(notes, limits=ReadLimits(labels=("staff",))))
    assert counts(report) == (0, 3, 0, 0)


def test_scans_are_read_if_that_is_asked_for(kept: StoreInStep, notes: Path) -> None:
    for ocr in (False, True):
        items = kept.folder(notes, limits=ReadLimits(ocr=ocr)).listing({}).items
        assert {item.fetch().ocr for item in items.values()} == {ocr}


def test_documents_of_others_are_never_deleted(
    kept: StoreInStep, notes: Path, tmp_path: Path
) -> None:
    api = Document("a.md", "Written by a program.", source="api")
    elsewhere = make_corpus(3)
    with kept.writer() as writer:
        writer.add([api, *elsewhere])
    other = write_notes(tmp_path / "other", x="About birches.")
    report = kept.step(kept.folder(notes), kept.folder(other))
    assert [failure.document_id for failure in report.failures] == ["a.md"]  # the id is taken

    for file in notes.glob("[ab].md"):
        file.unlink()
    kept.step(kept.folder(notes))
    assert set(kept.texts) == {"a.md", "c.md", "x.md", *(item.id for item in elsewhere)}
    assert kept.texts["a.md"] == "Written by a program."


def test_a_folder_of_the_same_name_keeps_its_documents(
    kept: StoreInStep, notes: Path, tmp_path: Path
) -> None:
    kept.step(kept.folder(notes))
    namesake = write_notes(tmp_path / "elsewhere" / "notes", a="Mine.", z="About zinnias.")
    report = kept.step(kept.folder(namesake))
    assert [f"belong to {notes}" in failure.reason for failure in report.failures] == [True]
    assert (kept.texts["a.md"], kept.texts["z.md"]) == ("About roses.", "About zinnias.")
    assert len(kept.texts) == 4

    kept.stepper.adopt(kept.folder(namesake))
    kept.step(kept.folder(namesake))
    assert kept.texts == {"a.md": "Mine.", "z.md": "About zinnias."}


def test_documents_that_nobody_claimed_are_kept_until_adopted(
    kept: StoreInStep, notes: Path
) -> None:
    old = Document("old.md", "From an earlier build.", source="notes/old.md")
    with kept.writer() as writer:
        writer.add([old])
    (plan,) = kept.stepper.plan([kept.folder(notes)])
    assert (plan.unclaimed, plan.gone) == (1, [])
    kept.stepper.apply([plan])
    assert "old.md" in kept.texts

    kept.stepper.adopt(kept.folder(notes))
    assert kept.step(kept.folder(notes)).removed == 1


def test_a_missing_or_emptied_folder_keeps_its_documents(kept: StoreInStep, notes: Path) -> None:
    kept.step(kept.folder(notes))
    away = notes.rename(notes.with_name("away"))
    (plan,) = kept.stepper.plan([kept.folder(notes)])
    assert "No such file" in plan.unavailable
    notes.mkdir()
    (plan,) = kept.stepper.plan([kept.folder(notes)])
    assert plan.unavailable == "no file is left in it"
    kept.stepper.apply([plan])
    assert len(kept.texts) == 3

    notes.rmdir()
    away.rename(notes)
    assert counts(kept.step(kept.folder(notes))) == (0, 0, 3, 0)


_LISTING = """
import os, sys
from pathlib import Path
from expertrag_index.loaders import ReadLimits
from expertrag_index.sources.folder import FolderSource
if os.geteuid() == 0: os.setuid(65534)
source = FolderSource(Path(sys.argv[1]), ReadLimits(), store=Path("/nowhere"))
found = source.listing({"notes/inner/d.md": "1 1"})
print(sorted(found.items), [failure.source for failure in found.failures], found.unavailable)
"""


def test_an_unreadable_folder_inside_keeps_its_documents() -> None:
    with tempfile.TemporaryDirectory() as above:  # pytest's own folders are for their owner only
        Path(above).chmod(0o755)
        notes = write_notes(Path(above) / "notes", a="About roses.")
        inner = write_notes(notes / "inner", d="About elms.")
        inner.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", _LISTING, str(notes)],
            capture_output=True,
            text=True,
            check=False,
        )
        inner.chmod(0o755)
    assert done.stdout == "['notes/a.md'] ['notes/inner'] \n", done.stderr


def test_a_file_that_cannot_be_read_keeps_its_version_from_before(
    kept: StoreInStep, notes: Path
) -> None:
    records = notes / "records.json"
    records.write_text(json.dumps([{"_id": "r1", "text": "One."}, {"_id": "r2", "text": "Two."}]))
    kept.step(kept.folder(notes))
    records.write_text('[{"_id": "r1", "text": "One')
    report = kept.step(kept.folder(notes))
    assert [failure.source for failure in report.failures] == ["notes/records.json"]
    assert {"r1", "r2"} <= set(kept.texts)

    records.write_text(json.dumps([{"_id": "r1", "text": "One."}]))
    assert kept.step(kept.folder(notes)).removed == 1


def test_records_may_move_to_another_file(kept: StoreInStep, notes: Path) -> None:
    write_lines(notes / "old.jsonl", [{"_id": "r1", "text": "One."}])
    kept.step(kept.folder(notes))
    (notes / "old.jsonl").rename(notes / "new.jsonl")
    report = kept.step(kept.folder(notes))
    assert report.failures == ()
    assert kept.texts["r1"] == "One."


def test_what_the_store_lost_is_read_again(kept: StoreInStep, notes: Path) -> None:
    kept.step(kept.folder(notes))
    with kept.writer() as writer:
        writer.delete(["b.md"])
    assert counts(kept.step(kept.folder(notes))) == (1, 0, 2, 0)


def test_a_lost_or_damaged_ledger_costs_only_work(kept: StoreInStep, notes: Path) -> None:
    kept.step(kept.folder(notes))
    embedded = len(kept.embedder.encoded)
    ledger = kept.store / "sources.db"
    ledger.unlink()
    assert counts(kept.step(kept.folder(notes))) == (0, 0, 3, 0)
    ledger.write_bytes(b"\0" * 5_000)
    assert counts(kept.step(kept.folder(notes))) == (0, 0, 3, 0)
    assert len(kept.embedder.encoded) == embedded


def test_a_process_killed_before_it_recorded_the_write(kept: StoreInStep, notes: Path) -> None:
    (plan,) = kept.stepper.plan([kept.folder(notes)])
    with kept.writer() as writer, Ledger(kept.store) as ledger:
        ledger.claim(plan.source.key, [item.source for item in plan.changed])
        writer.refresh(
            [Document("a.md", "About roses.", source="notes/a.md")], {"notes/a.md"}
        )  # and nothing is recorded
    (notes / "a.md").unlink()
    report = kept.step(kept.folder(notes))
    assert (report.removed, set(kept.texts)) == (1, {"b.md", "c.md"})


def test_a_store_inside_the_folder_is_left_out(kept: StoreInStep, tmp_path: Path) -> None:
    write_notes(tmp_path, a="About roses.")
    source = kept.folder(tmp_path)
    kept.step(source)
    report = kept.step(source)
    assert (report.read, set(kept.texts)) == ((), {"a.md"})


def test_links_to_a_disk_that_is_away_keep_their_documents(
    kept: StoreInStep, notes: Path, tmp_path: Path
) -> None:
    disk = write_notes(tmp_path / "disk" / "deep", l="About limes.", m="About maples.")
    (notes / "linked.md").symlink_to(disk / "m.md")
    (notes / "more").symlink_to(tmp_path / "disk")
    kept.step(kept.folder(notes))
    away = disk.parent.rename(tmp_path / "away")
    report = kept.step(kept.folder(notes))
    lost = {failure.source for failure in report.failures if not failure.notice}
    assert lost == {"notes/linked.md", "notes/more"}
    assert {"linked.md", "more/deep/l.md", "more/deep/m.md"} <= set(kept.texts)

    away.rename(disk.parent)
    (disk / "l.md").unlink()
    assert kept.step(kept.folder(notes)).gone == ("notes/more/deep/l.md",)


def test_patterns_and_links(kept: StoreInStep, notes: Path, tmp_path: Path) -> None:
    linked = write_notes(tmp_path / "linked", l="About limes.")
    (notes / "more").symlink_to(linked)
    (notes / "loop").symlink_to(notes)
    kept.step(kept.folder(notes, exclude=["b.md"]))
    assert set(kept.texts) == {"a.md", "c.md", "more/l.md"}
    assert kept.step(kept.folder(notes, exclude=["b.md", "more/"])).removed == 1


@pytest.mark.parametrize("seed", range(4))
def test_any_history_ends_with_the_files_and_what_others_wrote(
    kept: StoreInStep, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    folders = {name: write_notes(tmp_path / name) for name in ("a", "b")}
    programs: dict[str, str] = {}
    for step in range(14):
        for _ in range(chance.randrange(1, 5)):
            name = chance.choice("ab")
            file = folders[name] / f"{name}{chance.randrange(6)}.md"
            match chance.randrange(4):
                case 0 | 1:
                    file.write_text(f"About plant {chance.random()}.")
                case 2:
                    file.unlink(missing_ok=True)
                case 3 if file.exists():
                    file.rename(folders[name] / f"{name}{chance.randrange(6)}.md")
        if chance.random() < 0.3:
            written = f"p{chance.randrange(3)}"
            programs[written] = f"Text {step}."
            with kept.writer() as writer:
                writer.add([Document(written, programs[written], source="api")])
        if chance.random() < 0.2:
            with kept.writer() as writer:
                writer.delete([f"a{chance.randrange(6)}.md"])
        plans = kept.stepper.plan([kept.folder(folder) for folder in folders.values()])
        if chance.random() < 0.2:
            (folders["a"] / "a0.md").write_text(f"Changed since {step}.")
        for plan in plans:
            kept.stepper.apply([plan])
    write_notes(folders["a"], a0="The last one.")
    kept.step(*map(kept.folder, folders.values()))
    files = {
        file.name: file.read_text() for folder in folders.values() for file in folder.iterdir()
    }
    alone = {name for name in files if name[0] == "b"}
    # a folder that has lost its last file keeps what it had
    found = {name: text for name, text in kept.texts.items() if alone or name[0] != "b"}
    assert found == {**files, **programs}
