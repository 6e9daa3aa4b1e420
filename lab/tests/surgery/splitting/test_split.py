"""Splitting a folder: what is written, and that a killed run continues to the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dense_samples import SIZES, write_dense
from file_helper import write_lines
from profile_samples import rows
from torch.nn import functional
from transformers import AutoModelForCausalLM

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.fingerprint import fingerprint
from expertrag_index.types import Progress, silent
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt, read_traffic
from expertrag_lab.surgery.splitting.pre_gate import FOLDER, load_pre_gate
from expertrag_lab.surgery.splitting.pre_gate_training import PreGateRecipe
from expertrag_lab.surgery.splitting.split import SplitSettings, split_model
from expertrag_lab.surgery.splitting.split_report import SplitReport
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes
from expertrag_lab.surgery.splitting.split_texts import next_token_loss

_SETTINGS = SplitSettings(SIZES, 8, 0, PreGateRecipe(width=16, epochs=2))


@pytest.fixture(scope="module")
def dense(short_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2; do not change it."""
    return write_dense(tmp_path_factory.mktemp("models") / "dense", short_tokenizer, "qwen2")


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrafficPrompt, ...]:
    """Prompts of two domains; one does not fit, the answer of another is not known."""
    births, deaths = rows(9), rows(9, "deaths")
    births[1]["passages"][0]["text"] *= 300
    del deaths[2]["answer"]
    path = write_lines(tmp_path_factory.mktemp("rows") / "rows.jsonl", [*births, *deaths])
    return read_traffic(path, "none")


@pytest.fixture(scope="module")
def split(
    dense: Path, traffic: tuple[TrafficPrompt, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, SplitReport]:
    """The folder of the split model, and the report."""
    out = tmp_path_factory.mktemp("split") / "moe"
    return out, split_model(str(dense), traffic, _SETTINGS, out, silent)


def test_what_is_reported_is_what_the_model_is(
    dense: Path, split: tuple[Path, SplitReport]
) -> None:
    out, report = split
    model: Any = AutoModelForCausalLM.from_pretrained(out)
    config = model.config
    assert config.model_type == "glm4_moe"
    assert (config.n_routed_experts, config.n_shared_experts) == (6, 2)
    assert config.num_experts_per_tok == 3
    sizes = {"experts": 8, "shared": 2, "per_token": 3}
    assert config.expertrag_surgery == [
        {"kind": "split", "source": fingerprint(dense), "sizes": sizes, "experts": []}
    ]
    assert report.source == fingerprint(dense) and report.width == 6 and len(report.layers) == 3
    assert report.domains == {"births": 8, "deaths": 9} and report.skipped == 1
    loss = report.loss
    assert loss.prompts == 2 and loss.all_experts == pytest.approx(loss.dense, abs=1e-4)
    assert loss.chosen_experts != pytest.approx(loss.dense, abs=1e-3)
    gate = load_pre_gate(out)
    assert gate.shape.layers == 3 and gate.shape.experts == 6
    assert report.pre_gate is not None
    assert 0 < report.pre_gate.pre_gate < 1 and 0 < report.pre_gate.frequent < 1
    assert report.pre_gate.parameters == sum(item.numel() for item in gate.parameters())
    card = (out / "README.md").read_text()
    assert f"| dense | {loss.dense:.4f} |" in card and "uses: 62%" in card
    assert "8 births, 9 deaths" in card and f"{report.pre_gate.pre_gate:.1%}" in card


def test_the_number_of_experts_per_token_may_be_changed(
    dense: Path, split: tuple[Path, SplitReport]
) -> None:
    texts = [list(range(3, 40))]
    load: Any = AutoModelForCausalLM.from_pretrained
    wanted = next_token_loss(load(dense), texts)
    mixture = load(split[0], num_experts_per_tok=6, experts_implementation="eager")
    whole = next_token_loss(mixture, texts)
    assert whole == pytest.approx(wanted, abs=1e-4)


def test_the_loss_is_that_of_every_next_token(dense: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(dense).requires_grad_(False)
    texts = [[5, 6, 7, 8], [9, 10]]
    losses = []
    for text in texts:
        logits = model(input_ids=torch.tensor([text])).logits[0]
        losses += [
            float(functional.cross_entropy(logits[place], torch.tensor(text[place + 1])))
            for place in range(len(text) - 1)
        ]
    assert next_token_loss(model, texts) == pytest.approx(sum(losses) / 4)


def _killed_at(stage: str, number: int) -> Progress:
    def report(now: str, done: int, _total: int | None) -> None:
        if (now, done) == (stage, number):
            raise KeyboardInterrupt

    return report


def test_a_killed_run_continues_to_the_same_model(
    dense: Path,
    traffic: tuple[TrafficPrompt, ...],
    split: tuple[Path, SplitReport],
    tmp_path: Path,
) -> None:
    out = tmp_path / "moe"
    stages = (
        ("tokens of prompts", 4),
        ("split: read prompts", 5),
        ("split: layers", 2),
        ("split: train pre-gate: not trained yet", 1),
    )
    for stage, number in stages:
        with pytest.raises(KeyboardInterrupt):
            split_model(str(dense), traffic, _SETTINGS, out, _killed_at(stage, number))
        assert not out.exists()
    assert (tmp_path / "moe.partial").is_dir()
    seen: set[str] = set()
    report = split_model(str(dense), traffic, _SETTINGS, out, lambda now, *_: seen.add(now))
    assert report == split[1] and not (tmp_path / "moe.partial").exists()
    assert not seen & {"tokens of prompts", "split: read prompts"}
    for name in ("model.safetensors", "config.json", "README.md", f"{FOLDER}/pre_gate.safetensors"):
        assert (out / name).read_bytes() == (split[0] / name).read_bytes(), name


def test_other_sizes_begin_anew_and_a_pre_gate_may_be_left_out(
    dense: Path, traffic: tuple[TrafficPrompt, ...], tmp_path: Path
) -> None:
    out = tmp_path / "moe"
    with pytest.raises(KeyboardInterrupt):
        split_model(str(dense), traffic, _SETTINGS, out, _killed_at("split: layers", 2))
    other = replace(_SETTINGS, sizes=SplitSizes(4, 1, 2), pre_gate=None)
    report = split_model(str(dense), traffic, other, out, silent)
    assert report.width == 12 and report.pre_gate is None and not (out / FOLDER).exists()


def test_what_cannot_be_split_is_refused(
    dense: Path, traffic: tuple[TrafficPrompt, ...], tmp_path: Path
) -> None:
    name, uneven = str(dense), replace(_SETTINGS, sizes=SplitSizes(7, 2, 3))
    with pytest.raises(InvalidArgument, match="48 neurons cannot be split into 7 experts"):
        split_model(name, traffic, uneven, tmp_path / "one", silent)
    with pytest.raises(InvalidArgument, match=r"no domain has 8 prompts.*7 of 8"):
        split_model(name, traffic[:8], _SETTINGS, tmp_path / "two", silent)
    with pytest.raises(Conflict, match="exists; delete it"):
        split_model(name, traffic, _SETTINGS, dense, silent)
    assert not (tmp_path / "one").exists() and not (tmp_path / "two").exists()
