"""``expertrag index sync``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from command_line import Run
from sources_helper import Page, Site, texts_of, write_notes


def test_a_list_with_a_folder_and_a_page(
    run: Run, tmp_path: Path, site: Site, minilm_path: Path
) -> None:
    write_notes(tmp_path / "notes", a="About roses.", b="About tulips.")
    site.pages["/terms"] = Page(b"Thirty days.", headers={"Content-Type": "text/plain"})
    file, store = tmp_path / "sources.yaml", tmp_path / "store"
    file.write_text(f"sources: [{{folder: notes}}, {{url: '{site.url}/terms?token=abc'}}]")

    refused = run("index", "sync", store, file)
    assert (
        refused.code,
        "2 added, 0 changed, 0 unchanged, 0 removed, 1 failed" in refused.out,
    ) == (
        3,
        True,
    )
    assert "which is refused; if you trust the list of sources" in refused.err
    assert "abc" not in refused.err

    ran = run("index", "sync", store, file, "--allow-private-addresses").ok()
    assert "1 added, 0 changed, 2 unchanged, 0 removed, 0 failed" in ran.out
    done = run("index", "sync", store, file, "--allow-private-addresses", "--json").json()
    assert (done["unchanged"], done["read"], done["dropped"]) == (3, [], {})

    file.write_text("sources: [{folder: notes}]")
    ran = run("index", "sync", store, file).ok()
    assert f"{site.url}/terms?token=*** left the list: 1 documents deleted" in ran.err
    assert set(texts_of(store)) == {"a.md", "b.md"}


def test_most_of_a_store_needs_yes(run: Run, tmp_path: Path, minilm_path: Path) -> None:
    write_notes(tmp_path / "notes", **{f"n{i}": f"About plant {i}." for i in range(12)})
    file, store = tmp_path / "sources.yaml", tmp_path / "store"
    file.write_text("sources: [{folder: notes}]")
    run("index", "sync", store, file).ok()
    file.write_text("sources: []")
    run("index", "sync", store, file).fails(2, "12 of 12 documents would be deleted", "--yes")
    assert "12 removed" in run("index", "sync", store, file, "--yes").ok().out


def test_every(tmp_path: Path, minilm_path: Path) -> None:
    write_notes(tmp_path / "notes", a="About roses.")
    file, store = tmp_path / "sources.yaml", tmp_path / "store"
    file.write_text("sources: [{folder: notes}]")
    process = subprocess.Popen(
        [sys.executable, "-m", "expertrag", "index", "sync", store, file, "--every", "1s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    with process.stdout:
        assert "1 added" in process.stdout.readline()
        assert "0 added, 0 changed, 1 unchanged" in process.stdout.readline()
        file.write_text("sources: [")  # an error ends no loop
        file.write_text("sources: [{folder: notes}]")
        write_notes(tmp_path / "notes", b="About tulips.")
        while "1 added" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_errors(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    store = tmp_path / "store"
    run("index", "sync", store, file).fails(2, "does not exist")
    file.write_text(json.dumps({"sources": [{"fodder": "x"}]}))
    run("index", "sync", store, file).fails(2, "source 1: give it one of folder, glob and url")
    file.write_text("sources: []")
    run("index", "sync", store, file, "--every", "soon").fails(2, "write it as 30s, 10m, 6h or 1d")
    run("index", "sync", store, file, "--include", "*.md").fails(2, "write include and exclude")
    assert not store.exists()
