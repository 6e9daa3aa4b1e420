"""``expertrag index create``: an empty store that can be written to and served."""

from __future__ import annotations

from pathlib import Path

from command_line import Run


def test_an_empty_store_takes_documents(run: Run, tmp_path: Path, minilm_path: Path) -> None:
    store = tmp_path / "new" / "store"
    create = ("index", "create", store)
    assert "generation 1" in run(*create, "--embedder", minilm_path).ok().out
    assert run("index", "stats", store, "--json").json()["documents"] == 0
    document = tmp_path / "tea.txt"
    document.write_text("Green tea is steeped at 80 degrees.", encoding="utf-8")
    run("index", "add", store, document).ok()
    run(*create).fails(6, "--if-missing")
    assert "already" in run(*create, "--if-missing").ok().out
    assert run("index", "stats", store, "--json").json()["documents"] == 1


def test_a_folder_of_other_files_is_left_alone(run: Run, tmp_path: Path, minilm_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader", encoding="utf-8")
    run("index", "create", tmp_path, "--embedder", minilm_path).fails(2, "not empty")
    assert [path.name for path in tmp_path.iterdir()] == [letter.name]
