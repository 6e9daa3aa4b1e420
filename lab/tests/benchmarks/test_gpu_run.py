"""`make lab-gpu` without a GPU: every stage runs, and one that fails does not lose the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")
GPU = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def _run(out: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, str(GPU), *arguments, "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(out.read_text("utf-8"))


@pytest.mark.slow
def test_a_dry_run_runs_the_stages(tmp_path: Path) -> None:
    """Without the checks, which tests/kernels/test_gpu.py runs."""
    stages = "machine", "tiles", "kernels", "generation", "vllm"
    code, body = _run(tmp_path / "gpu.json", "--dry-run", "--stages", *stages)
    assert (code, body["failed"]) == (0, [])
    found = body["stages"]
    assert found["machine"]["torch"] and "seconds" in found["machine"]
    assert set(found["tiles"]["tiny"]) == {"1", "4"}
    for row in ("tiny, 1 tokens", "tiny, 4 tokens"):
        assert found["kernels"][row]["ours"]["difference"] < 0.02
        assert {"grouped_mm", "eager"} <= set(found["kernels"][row])
    assert found["generation"]["2 texts"]["same tokens"] == 1
    assert found["vllm"]["skipped"] == "vLLM is not installed"


@pytest.mark.slow
def test_a_failing_stage_leaves_its_error_and_the_others(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("nothing fails here")
    code, body = _run(tmp_path / "gpu.json", "--stages", "machine", "vllm")
    assert (code, body["failed"]) == (1, ["machine"])
    machine = body["stages"]["machine"]
    assert "torch finds no GPU: install torch for CUDA" in machine["error"]
    assert machine["torch"], "what it had found is kept"
    assert "error" not in body["stages"]["vllm"]
