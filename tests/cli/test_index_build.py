"""``expertrag index build``: what it removes, how long its chunks are, and copies that it tells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import Run
from terminal_helper import Terminal

TEXT = "Annual leave is asked for in the portal, and the team lead answers within three days. "


def folder_of(path: Path, count: int) -> Path:
    path.mkdir()
    for number in range(count):
        (path / f"{path.name}{number}.md").write_text(f"# Page {number}\n\nIt is {number}.\n")
    return path


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of ten and of two documents."""
    root = tmp_path_factory.mktemp("shelves")
    folder_of(root / "many", 10)
    folder_of(root / "few", 2)
    return root


def test_much_is_not_removed_without_a_yes(run: Run, shelves: Path, tmp_path: Path) -> None:
    many, few = shelves / "many", shelves / "few"
    store = tmp_path / "store"
    run("index", "build", many, "--out", store).ok()
    before = run("index", "stats", store).out

    for docs, removed in ((few, 10), (shutil.copytree(many, tmp_path / "many"), 2)):
        if docs.name == "many":
            (docs / "many0.md").unlink()
            (docs / "many1.md").unlink()
        ran = run("index", "build", docs, "--out", store)
        assert (ran.code, ran.out) == (2, "")
        assert f"error: {removed} of 10 documents would be deleted" in ran.err
        assert "nothing was changed; if that is right, run it again with --yes" in ran.err
        assert run("index", "stats", store).out == before

    (tmp_path / "many" / "many1.md").write_text("# Page 1\n\nIt is 1.\n")
    assert "1 removed" in run("index", "build", tmp_path / "many", "--out", store).ok().out
    assert "9 removed" in run("index", "build", few, "--out", store, "--yes").ok().out
    assert "1 added" in run("index", "add", store, many / "many3.md").ok().out


@pytest.mark.parametrize(("answer", "result"), [("n", "10 of 10 documents"), ("y", "10 removed")])
def test_a_terminal_is_asked(
    run: Run, shelves: Path, tmp_path: Path, answer: str, result: str
) -> None:
    store = tmp_path / "store"
    run("index", "build", shelves / "many", "--out", store).ok()
    with Terminal("index", "build", str(shelves / "few"), "--out", str(store)) as terminal:
        terminal.types_at("10 of 10 documents are not in DOCS. Remove them? [y/N]:", f"{answer}\n")
        terminal.shows(result)
    documents = run("index", "stats", store, "--json").json()["documents"]
    assert documents == (10 if answer == "n" else 2)


def test_the_length_of_chunks_is_chosen_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "leave.txt").write_text(TEXT * 40)
    (tmp_path / "more.txt").write_text(TEXT.upper() * 40)
    store = tmp_path / "store"
    run("index", "build", tmp_path / "leave.txt", "--out", store, "--chunk-tokens", 64).ok()
    stats = run("index", "stats", store, "--json").json()
    assert (stats["chunk_tokens"], stats["chunks"] > 9) == (64, True)
    assert "chunk length     up to 64 tokens\n" in run("index", "stats", store).out

    run("index", "add", store, tmp_path / "more.txt").ok()
    assert run("index", "stats", store, "--json").json()["chunks"] > 1.9 * stats["chunks"]
    ran = run("index", "build", tmp_path / "leave.txt", "--out", store, "--chunk-tokens", 128)
    assert ran.code == 6
    assert "the store has chunks of up to 64 tokens, not 128: leave --chunk-tokens" in ran.err


@pytest.mark.parametrize(("tokens", "why"), [("15", "x>=16"), ("257", "reads 256 tokens")])
def test_a_length_that_cannot_be_is_refused(
    run: Run, tmp_path: Path, tokens: str, why: str
) -> None:
    (tmp_path / "leave.txt").write_text(TEXT)
    for command in (("build", tmp_path, "--out"), ("create",)):
        ran = run("index", *command, tmp_path / "store", "--chunk-tokens", tokens)
        assert ran.code == 2
        assert why in ran.err
    assert not (tmp_path / "store").exists()


def test_copies_are_noted(run: Run, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    handbook = "\n".join(f"{number}. {TEXT}" for number in range(30))
    (docs / "handbook.md").write_text(handbook)
    (docs / "handbook (1).md").write_text(f"{handbook}\nOne line more.\n")
    (docs / "other.md").write_text("Nothing of it is in this page, which is about the garden.")
    ran = run("index", "build", docs, "--out", tmp_path / "store").ok()
    (line,) = [line for line in ran.err.splitlines() if "nearly the text" in line]
    assert line == (
        "note docs/handbook.md: 1 document has nearly the text of another: handbook.md and "
        "handbook (1).md; delete those that are not needed: a search finds each of them"
    )


@pytest.fixture
def share(tmp_path: Path) -> Path:
    for name in ("hr/leave.md", "hr/forms/sick.md", "it/vpn.md", "top.md"):
        path = tmp_path / "share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Page\n\nThis is about {path.stem}.\n")
    return tmp_path / "share"


def test_a_part_of_a_folder_is_read_as_the_folder_was(
    run: Run, share: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("index", "build", share, "--out", whole).ok()
    listed = run("index", "list", whole, "--json").json()["documents"]
    assert {each["id"]: each["domain"] for each in listed} == {
        "hr/forms/sick.md": "hr", "hr/leave.md": "hr", "it/vpn.md": "it", "top.md": None,
    }  # fmt: skip

    (share / "hr" / "leave.md").write_text("# Page\n\nThis is new.\n")
    (share / "hr" / "pay.md").write_text("# Page\n\nThis is about pay.\n")
    (share / "hr" / "broken.pdf").write_bytes(b"no PDF")
    ran = run("index", "add", whole, share / "hr")
    assert "1 added, 1 changed, 1 unchanged" in ran.out
    assert "skipped share/hr/broken.pdf: " in ran.err
    (share / "hr" / "broken.pdf").unlink()
    (share / "hr" / "forms" / "sick.md").write_text("# Page\n\nThis is new, too.\n")
    ran = run("index", "add", whole, share / "hr", share / "hr" / "forms" / "sick.md")
    assert ran.code == 3  # it is named twice
    assert "1 changed, 2 unchanged" in ran.out
    assert "broken" not in run("index", "skipped", whole).out
    assert "5 unchanged, 0 removed" in run("index", "build", share, "--out", whole).ok().out

    run("index", "build", share / "it", "--out", parts).ok()
    run("index", "add", parts, share / "hr").ok()
    run("index", "add", parts, share / "hr" / "forms").ok()
    listed = run("index", "list", parts, "--json").json()["documents"]
    assert {each["id"]: each["domain"] for each in listed} == {
        "vpn.md": None, "leave.md": None, "pay.md": None, "forms/sick.md": "forms",
    }  # fmt: skip
