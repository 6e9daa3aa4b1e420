"""``expertrag index list`` and ``index show``."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run


def test_pages(run: Run, built: Path) -> None:
    everything = run("index", "list", built, "--json").json()
    ids = [document["id"] for document in everything["documents"]]
    assert (ids, everything["next_page_token"]) == (sorted(ids), "")
    assert everything["total"] == len(ids) > 2

    ran = run("index", "list", built, "--page-size", 2)
    assert f"2 of {len(ids)} documents" in ran.out
    token = ran.err.strip().rpartition(" ")[2]
    page = run("index", "list", built, "--page-size", 2, "--page-token", token, "--json").json()
    assert [document["id"] for document in page["documents"]] == ids[2:4]


def test_show_a_document_and_its_chunks(run: Run, built: Path) -> None:
    passage = run("index", "search", built, "roses", "-k", 1, "--json").json()["passages"][0]
    name, start, end = passage["document_id"], passage["start"], passage["end"]

    shown = run("index", "show", built, name, "--start", start, "--end", end, "--json").json()
    assert shown["text"] == passage["text"]
    whole = run("index", "show", built, name)
    assert (f"id: {name}" in whole.out, passage["text"] in whole.out) == (True, True)
    assert whole.err == ""

    ran = run("index", "show", built, name, "--chunks", "--page-size", 1, "--json").json()
    assert [chunk["ordinal"] for chunk in ran["chunks"]] == [0]
    assert f"characters {start:,} to {end:,}" in run("index", "show", built, name, "--chunks").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "STORE", "nosuch"), 4, "there is no document 'nosuch'"),
        (("show", "STORE", "nosuch", "--start", "9", "--end", "2"), 2, "end: is 2, before start 9"),
        (("list", "STORE", "--page-size", "0"), 2, "page_size: is 0; choose a number from 1 to"),
        (("list", "STORE", "--page-token", "x"), 2, "page_token: is not of this list"),
        (("list", "STORE", "--filter", '{"nosuch": 1}'), 2, "unknown filter field 'nosuch'"),
        (("list", "nowhere"), 4, "nowhere"),
        (("skipped", "STORE", "--page-size", "0"), 2, "page_size: is 0; choose a number from 1 to"),
        (("skipped", "STORE", "--page-token", "x"), 2, "page_token: is not of this list"),
        (("skipped", "nowhere"), 4, "nowhere"),
    ],
)
def test_errors(run: Run, built: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    given = [str(built) if item == "STORE" else item for item in arguments]
    ran = run("index", *given)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


def test_skipped_files_are_listed_until_they_are_read(run: Run, tmp_path: Path) -> None:
    docs, other, store = tmp_path / "docs", tmp_path / "other", tmp_path / "store"
    for folder in (docs, other):
        folder.mkdir()
        (folder / f"{folder.name}.md").write_text("Green tea is steeped at 80 degrees.")
        (folder / "broken.json").write_text("[")
    assert run("index", "build", docs, "--out", store).code == 3
    assert run("index", "add", store, other).code == 3
    shown = run("index", "skipped", store)
    assert shown.out.count("skipped docs/broken.json: ") == 1
    assert "2 skipped" in shown.out

    first = run("index", "skipped", store, "--page-size", 1)
    assert "1 of 2 listed" in first.out
    token = first.err.strip().rpartition(" ")[2]
    rest = run("index", "skipped", store, "--page-token", token, "--json").json()
    assert [file["source"] for file in rest["files"]] == ["other/broken.json"]
    assert rest["files"][0]["cure"]

    (docs / "broken.json").unlink()
    (docs / "menu.txt").write_bytes("Gâteau au thé vert, crème brûlée".encode("cp1252"))
    assert run("index", "add", store, docs).code == 0
    assert run("index", "skipped", store).out.endswith("\n1 skipped, 1 noted\n")
    (docs / "menu.txt").unlink()
    assert "docs/broken.json" not in run("index", "skipped", store).out
    assert run("index", "build", docs, "--out", store, "--yes").code == 0
    assert run("index", "skipped", store).out == "0 skipped\n"
