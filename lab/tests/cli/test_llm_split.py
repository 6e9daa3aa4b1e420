"""``expertrag llm split``: from a dense model and prompts to a mixture that answers."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from command_line import Run
from dense_samples import write_dense
from file_helper import write_lines
from model_fixtures import text_of
from profile_samples import WORDS, rows
from short_tokenizer import write_short_tokenizer

from expertrag.api.types import Sampling
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag_lab.cli import llm_split
from expertrag_lab.surgery.splitting.pre_gate import FOLDER
from expertrag_lab.surgery.splitting.split import SplitSettings
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes


@pytest.fixture(scope="module")
def dense(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama; do not change it."""
    folder = tmp_path_factory.mktemp("models")
    return write_dense(
        folder / "dense", write_short_tokenizer(smollm_path, folder / "words", WORDS)
    )


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of prompts; do not change it."""
    return write_lines(tmp_path_factory.mktemp("rows") / "rows.jsonl", rows(10))


def test_a_split_model_is_a_mixture_for_all_other_commands(
    run: Run, dense: Path, asked: Path, tmp_path: Path
) -> None:
    moe, profile, small = (tmp_path / name for name in ("moe", "profile", "small"))
    command = ("llm", "split", dense, asked, "--out", moe, "--experts", "8", "--shared", "2")
    ran = run(*command, "--per-token", "3", "--json").ok()
    made = ran.json()
    assert made["sizes"] == {"experts": 8, "shared": 2, "per_token": 3}
    assert made["loss"]["prompts"] == 1 and made["pre_gate"]["parameters"] > 0
    assert "split: layers: 3/3" in ran.err and "split: train pre-gate" in ran.err
    assert (moe / FOLDER).is_dir()
    generator = TransformersGenerator.load(str(moe), dtype="float32")
    assert isinstance(generator._network, NativeNetwork)
    text_of(generator.begin([Message("user", "Who?")], Sampling(max_tokens=8)))

    run("llm", "profile", moe, asked, "--out", profile).ok()
    run("llm", "prune", moe, "--profile", profile, "--keep", "4", "--force", "--out", small).ok()
    merged = ("--groups", "4", "--out", tmp_path / "merged")
    run("llm", "merge", moe, "--profile", profile, *merged).ok()
    steps = json.loads((small / "config.json").read_text())["expertrag_surgery"]
    assert [step["kind"] for step in steps] == ["split", "prune"]
    assert not (small / FOLDER).exists()  # it expects other experts
    verify = ("--rows", asked, "--rounds", "1", "--max-tokens", "4", "--force")
    assert "same experts" in run("llm", "verify", moe, small, *verify).ok().out
    assert "routers are not compared" in run("llm", "verify", dense, moe, *verify).ok().err
    run(*command).fails(6, "exists; delete it")


def test_lines_tell_the_losses(run: Run, dense: Path, asked: Path, tmp_path: Path) -> None:
    out = tmp_path / "moe"
    given = ("--experts", "4", "--shared", "1", "--per-token", "3", "--no-pre-gate")
    found = run("llm", "split", dense, f"births={asked}", "--out", out, *given).ok().out
    assert "1 shared, 3 others" in found and "3 of the others: 100% of the neurons" in found
    assert "loss on 1 held-out prompt, nats" in found
    assert "(1 of them, " in (out / "README.md").read_text()
    assert "births: 10 prompts" in found and "pre-gate" not in found
    lines = {line.split()[0]: line.split()[-1] for line in found.splitlines()}
    assert float(lines["dense"]) == pytest.approx(float(lines["all"]), abs=1e-3)
    assert lines["3"] == lines["all"] and f"wrote {out}" in found


def test_mistakes_are_told_with_their_cure(
    run: Run, dense: Path, asked: Path, tmp_path: Path
) -> None:
    split = ("llm", "split", dense, asked, "--out", tmp_path / "moe")
    run(*split, "--experts", "7").fails(2, "--experts 7: 48 neurons", "use 6, 8, 12, 16")
    run(*split, "--experts", "8").fails(2, "--per-token 8 is not", "--shared 4", "use 1 to 4")
    run(*split, "--experts", "4").fails(2, "--experts 4 with --shared 4 is not possible")
    run(*split, "--limit", "3").fails(2, "3 is not in the range x>=8")
    run("llm", "split", dense, tmp_path / "none", "--out", tmp_path / "moe").fails(4, "no store")
    assert not (tmp_path / "moe").exists()


def test_defaults_are_those_of_the_surgery() -> None:
    sizes = SplitSizes()
    own = llm_split.EXPERTS, llm_split.SHARED, llm_split.PER_TOKEN
    assert own == (sizes.experts, sizes.shared, sizes.per_token)
    given = {field.name: field.default for field in fields(SplitSettings)}
    assert given["most_tokens"] == llm_split.MOST_TOKENS
