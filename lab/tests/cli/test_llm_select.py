"""``expertrag llm select``: adapters of a tiny model, and rows of an open set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Run
from file_helper import write_lines
from lora_fixtures import LoraBase
from profile_samples import rows

from expertrag_lab.cli import llm_select
from expertrag_lab.surgery.candidates.open_rows import MOST_ALIKE
from expertrag_lab.surgery.candidates.select import SelectionSettings


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "labelled.jsonl", rows(5, words=6))


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where figures are kept."""
    monkeypatch.setattr("expertrag_lab.eval.stores.default_work", lambda: tmp_path / "work")
    return tmp_path / "work" / "select"


def test_the_defaults_are_those_of_the_selection() -> None:
    settings = SelectionSettings()
    assert (settings.choose, settings.diversity) == (llm_select.CHOOSE, llm_select.DIVERSITY)
    assert (settings.most_tokens, MOST_ALIKE) == (llm_select.MOST_TOKENS, llm_select.MOST_ALIKE)


def test_adapters_are_measured_and_those_that_help_are_served(
    run: Run, lora_base: LoraBase, labelled: Path, work: Path
) -> None:
    adapters = [f"{name}={folder}" for name, folder in lora_base.adapters.items()]
    options = [part for item in adapters for part in ("--adapter", item)]
    select = ("llm", "select", lora_base.folder, "--labelled", labelled, *options, "--k", "3")
    found = run(*select, "--max-tokens", "4", "--json").json()
    assert found["rows"] is None
    chosen = found["adapters"]
    assert chosen["rows"] == 3 and chosen["without"]["folder"] is None
    assert {item["name"] for item in chosen["candidates"]} == {"legal", "medical"}
    useful = [item["useful"] for item in chosen["candidates"]]
    assert useful == sorted(useful, reverse=True)
    helps = [item for item in chosen["candidates"] if item["useful"] > chosen["without"]["useful"]]
    assert sorted(chosen["chosen"]) == sorted(item["name"] for item in helps)
    assert len(list(work.iterdir())) == 1
    told = run(*select, "--max-tokens", "4").ok().out.splitlines()
    assert told[0] == "3 labelled rows" and told[2].startswith("without ")
    assert told[3].split()[0] == chosen["candidates"][0]["name"]
    end = "serve    expertrag serve --generator" if chosen["chosen"] else "chosen   none: no"
    assert told[-1].startswith(end)


def test_rows_of_an_open_set_are_chosen_without_a_model(
    run: Run, labelled: Path, tmp_path: Path
) -> None:
    questions = ("When was person 99 born?", "How do I archive a folder?", "Who was born in 1901?")
    items = [
        {"question": text, "passages": ["Nothing."], "answer": None, "source": number}
        for number, text in enumerate(questions)
    ]
    source = write_lines(tmp_path / "open.jsonl", items)
    out = tmp_path / "added.jsonl"
    select = ("llm", "select", "--labelled", labelled, "--open", source, "--add", "2", "--out", out)
    ran = run(*select, "--alike", "1").ok()
    assert ran.out.splitlines()[0].startswith("added    2 of 3 open rows, cosines ")
    assert ran.out.splitlines()[1] == f"wrote {out}"
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [item["source"] for item in written] == [0, 2]
    run(*select).fails(6, "exists; delete it")


def test_invalid_calls_are_reported(
    run: Run, lora_base: LoraBase, labelled: Path, tmp_path: Path
) -> None:
    select = ("llm", "select", lora_base.folder, "--labelled", labelled)
    run(*select).fails(2, "add --adapter NAME=FOLDER")
    run(*select, "--adapter", "legal").fails(2, "'--adapter'", "'legal' is not NAME=FOLDER")
    run(*select, "--adapter", "a=b", "--adapter", "a=c").fails(2, "'a' is named twice")
    run(*select, "--adapter", f"legal={tmp_path}").fails(4, "has no adapter_config")
    damaged = shutil.copytree(lora_base.adapters["legal"], tmp_path / "damaged")
    (damaged / "adapter_model.safetensors").write_bytes(b"damage")
    run(*select, "--adapter", f"legal={damaged}").fails(9, "is damaged", "copy it again")
    run(*select, "--open", labelled).fails(2, "go together")
    run("llm", "select", "--labelled", labelled).fails(2, "name the model")
    missing = ("--labelled", tmp_path / "none", "--adapter", "a=b")
    run("llm", "select", lora_base.folder, *missing).fails(4, "no file")
