"""``expertrag train probe``: trained on data sets and stores, served, and invalid calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run
from reader_samples import write_birth_store, write_births, write_tiny_reader

from expertrag_retriever.encoder import SentenceTransformerEmbedder


@pytest.fixture
def reader(smollm_path: Path, tmp_path: Path) -> Path:
    """Folder of a tiny Llama marked as a reader of our prompts."""
    return write_tiny_reader(tmp_path / "reader", smollm_path)


def test_a_probe_is_trained_and_served(
    run: Run, reader: Path, embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    births = write_births(tmp_path / "births")
    store = write_birth_store(tmp_path / "people", embedder)
    out = tmp_path / "probe"
    train = ("train", "probe", "--data", births, "--from-index", f"encyclopedia={store}")
    made = run(
        *train, "--generator", reader, "--out", out, "--licence", "births=CC0-1.0", "--json"
    ).ok()
    reported = made.json()
    assert [item["name"] for item in reported["sets"]] == ["births", "people"]
    assert reported["sets"][0]["licence"] == "CC0-1.0"
    assert "births, dev" in made.err
    card = (out / "README.md").read_text()
    assert "--from-index encyclopedia=people --generator reader --profile full" in card
    asked = run(
        *("ask", "Where was Ada Aberson born?", "--index", store, "--generator", reader),
        *("--set", f"model.probe={out}", "--mode", "always", "--max-tokens", "4", "--json"),
    )
    assert asked.code in (0, 8), asked.err
    assert 0 <= asked.json()["p_sufficient"] <= 1
    run(*train, "--generator", reader, "--out", out).fails(6, "delete it")


def test_invalid_calls_are_reported(run: Run, reader: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "probe")
    births = write_births(tmp_path / "births")
    run("train", "probe", "--generator", reader, *out).fails(2, "--from-index STORE")
    few = ("--searches", "3")
    run("train", "probe", "--data", births, "--generator", reader, *few, *out).fails(
        2, "40 prompts with and 40 without", "add data sets, or raise --searches"
    )
    run("train", "probe", "--data", births, "--generator", "smollm2-135m-instruct-moe", *out).fails(
        2, "is not a reader"
    )
    assert not (tmp_path / "probe").exists()
