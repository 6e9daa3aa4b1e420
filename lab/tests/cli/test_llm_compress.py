"""``expertrag llm compress``: from a mixture and prompts to a model that answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run
from model_fixtures import text_of
from profile_samples import rows, write_tiny_mixture

from expertrag.api.types import Sampling
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.engine.native_network import NativeNetwork


@pytest.fixture(scope="module")
def mixture(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random mixture, two experts a token; do not change it."""
    return write_tiny_mixture(tmp_path_factory.mktemp("mixture") / "tiny", smollm_path)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts of two domains, one without an answer that is known."""
    path = tmp_path_factory.mktemp("prompts") / "rows.jsonl"
    found = [*rows(4), *rows(2, "deaths")]
    del found[-1]["answer"]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def test_a_compressed_model_is_served_with_light_experts(
    run: Run, mixture: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "light"
    given = ("llm", "compress", mixture, prompts, "--light", "--steps", "4", "--most-tokens", "8")
    ran = run(*given, "--per-token", "1", "--out", out, "--json").ok()
    made = ran.json()
    assert made["light_experts"] == 1 and made["prompts"] == 6 and made["skipped"] == 0
    assert made["changed"]["step"]["domains"] == ["births", "deaths"]
    assert made["changed"]["after"]["experts_per_token"] == 1
    assert "tokens of prompts: 6/6" in ran.err and "write model: 1/1" in ran.err
    generator = TransformersGenerator.load(str(out), dtype="float32")
    network = generator._network
    assert isinstance(network, NativeNetwork)
    text_of(generator.begin([Message("user", "Who?")], Sampling(max_tokens=8)))
    counted = network.counters()
    assert counted["routed_experts"] == counted["routed_tokens"] > 0
    run(*given, "--per-token", "1", "--out", out).fails(6, "exists; delete it")


def test_low_rank_experts_are_packed_without_their_products(
    run: Run, mixture: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "low-rank"
    given = ("llm", "compress", mixture, prompts, "--size", "0.6", "--most-tokens", "8")
    ran = run(*given, "--out", out).ok()
    assert "rank" in ran.out and "fitted to           6 prompts" in ran.out
    assert ran.out.endswith(f"wrote {out}\n")
    card = (out / "README.md").read_text()
    assert "low_rank_experts.safetensors" in card and "births, deaths" in card
    packed = tmp_path / "packed"
    run("llm", "pack", out, "--dtype", "float32", "--out", packed).ok()
    steps = b"".join(path.read_bytes() for path in packed.glob("*.json"))
    assert b"layers.0.low_rank.experts" in steps and b"layers.0.experts" not in steps
    texts = []
    for model in (out, packed):
        generator = TransformersGenerator.load(str(model), dtype="float32")
        assert isinstance(generator._network, NativeNetwork)
        texts.append(text_of(generator.begin([Message("user", "Who?")], Sampling(max_tokens=8))))
    assert texts[0] == texts[1]
    held = tmp_path / "held.jsonl"
    held.write_text("".join(prompts.read_text().splitlines(keepends=True)[:2]))
    checked = ("llm", "verify", mixture, out, "--rows", held, "--rounds", "0", "--force")
    assert "low-rank has plain experts on disk" in run(*checked).ok().err
    run(*given, "--out", out).fails(6, "exists; delete it")


def test_what_was_trained_is_told(run: Run, mixture: Path, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "light"
    given = ("llm", "compress", mixture, f"life={prompts}", "--light", "--per-token", "1")
    ran = run(*given, "--steps", "2", "--limit", "2", "--out", out).ok()
    assert "experts per token   2 -> 1, and 1 light" in ran.out
    assert "nats a token on held-out prompts" in ran.out and "4 prompts in" in ran.out
    assert ran.out.endswith(f"wrote {out}\n")


@pytest.mark.parametrize(
    ("flags", "code", "reported"),
    [
        (("--per-token", "1"), 2, "--size SHARE"),
        (("--size", "0.5", "--light", "--per-token", "1"), 2, "either --size"),
        (("--size", "0.5", "--per-token", "1"), 2, "--size has none"),
        (("--size", "1.5"), 2, "between 0 and 1"),
        (("--light",), 2, "--per-token"),
        (("--light", "--per-token", "2"), 2, "fewer than the 2"),
    ],
)
def test_impossible_requests_are_reported(
    run: Run, mixture: Path, prompts: Path, tmp_path: Path, flags: tuple[str, ...], code: int,
    reported: str,
) -> None:  # fmt: skip
    out = tmp_path / "light"
    run("llm", "compress", mixture, prompts, "--out", out, *flags).fails(code, reported)
    assert not out.exists()


def test_packed_models_and_missing_prompts_are_reported(
    run: Run, mixture: Path, prompts: Path, tmp_path: Path
) -> None:
    given = ("--light", "--per-token", "1", "--out", tmp_path / "light")
    run("llm", "compress", mixture, tmp_path / "none.jsonl", *given).fails(4, "check the path")
    packed = tmp_path / "packed"
    run("llm", "pack", mixture, "--dtype", "int8", "--out", packed).ok()
    run("llm", "compress", packed, prompts, *given).fails(2, "the checkpoint")
