"""``expertrag train probe``: trained on data sets and stores, served, and invalid calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reader_samples import write_birth_store, write_births, write_llama

from expertrag.llm import prompt
from expertrag_retriever.encoder import SentenceTransformerEmbedder

Run = Callable[..., Any]


@pytest.fixture
def reader(smollm_path: Path, tmp_path: Path) -> Path:
    """Folder of a tiny Llama marked as a reader of our prompts."""
    folder = write_llama(tmp_path / "reader", smollm_path)
    config = json.loads((folder / "config.json").read_text())
    reported = config | {"reader_prompts": prompt.fingerprint()}
    (folder / "config.json").write_text(json.dumps(reported))
    return folder


def test_a_probe_is_trained_and_served(
    run: Run, reader: Path, embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    births = write_births(tmp_path / "births")
    store = write_birth_store(tmp_path / "people", embedder)
    out = tmp_path / "probe"
    train = ("train", "probe", "--data", births, "--from-index", f"encyclopedia={store}")
    made = run(*train, "--generator", reader, "--out", out, "--licence", "births=CC0-1.0", "--json")
    assert made.code == 0, made.err
    reported = json.loads(made.out)
    assert [item["name"] for item in reported["sets"]] == ["births", "people"]
    assert reported["sets"][0]["licence"] == "CC0-1.0"
    assert "births, dev" in made.err
    card = (out / "README.md").read_text()
    assert "--from-index encyclopedia=people --generator reader --profile full" in card
    asked = run(
        *("ask", "Where was Ada Aberson born?", "--index", store, "--generator", reader),
        *("--probe", out, "--mode", "always", "--max-tokens", "4", "--json"),
    )
    assert asked.code in (0, 8), asked.err
    assert 0 <= json.loads(asked.out)["p_sufficient"] <= 1
    again = run(*train, "--generator", reader, "--out", out)
    assert again.code == 6 and "delete it" in again.err


def test_invalid_calls_are_reported(run: Run, reader: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "probe")
    births = write_births(tmp_path / "births")
    nothing = run("train", "probe", "--generator", reader, *out)
    assert nothing.code == 2 and "--from-index STORE" in nothing.err
    few = ("--searches", "3")
    little = run("train", "probe", "--data", births, "--generator", reader, *few, *out)
    assert little.code == 2 and "add data sets, or raise --searches" in little.err
    plain = run(
        "train", "probe", "--data", births, "--generator", "smollm2-135m-instruct-moe", *out
    )
    assert plain.code == 2 and "is not a reader" in plain.err
    assert not (tmp_path / "probe").exists()
