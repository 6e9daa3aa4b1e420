"""``expertrag llm pack`` and ``verify``."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run
from model_families import model_of
from transformers import AutoTokenizer


@pytest.fixture(scope="module")
def tiny(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with SmolLM2's tokenizer."""
    folder = tmp_path_factory.mktemp("llama")
    model_of("llama", vocab_size=49152).save_pretrained(folder)
    AutoTokenizer.from_pretrained(smollm_path).save_pretrained(folder)
    return folder


def test_pack_then_verify(run: Run, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    ran = run("llm", "pack", tiny, "--dtype", "int8", "--out", out)
    assert (ran.code, ran.out) == (0, f"wrote {out}\n")
    assert "pack " in ran.err and f"write {out}: 1/1" in ran.err
    ran = run("llm", "verify", out)
    assert (ran.code, ran.out) == (0, f"{out} is intact\n")
    ran = run("llm", "pack", tiny, "--dtype", "int8", "--out", out)
    assert ran.code != 0 and "exists; delete it" in ran.err


def test_packing_errors_are_one_line(run: Run, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    ran = run("llm", "pack", tmp_path / "none", "--dtype", "int8", "--out", out)
    assert ran.code != 0 and ran.err.startswith("error: ") and ran.err.count("\n") == 1
    assert not out.exists()
    ran = run("llm", "verify", tiny)
    assert ran.code != 0 and "is not packed" in ran.err
