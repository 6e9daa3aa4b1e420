"""The GPU kernels without a GPU: interpreted, and compiled for three generations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from expertrag_kernels.gpu.tiles import Tiles, choose_tiles, count_shared_bytes

HERE = Path(__file__).parent


def _run(script: str, **environment: str) -> str:
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, HERE / script],
        env={**variables, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_interpreted_kernels_equal_the_reference() -> None:
    held = _run("gpu_interpreted.py", TRITON_INTERPRET="1").splitlines()
    assert len(held) == 40
    assert {"sentinels", "odd sizes", "torch.bfloat16 tokens, torch.float8_e4m3fn"} <= set(held)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    cache = str(tmp_path_factory.mktemp("triton"))
    out = _run("gpu_compiled.py", TRITON_CACHE_DIR=cache, TRITON_DEFAULT_FP_FUSION="1")
    found: list[dict[str, object]] = json.loads(out)
    return found


@pytest.mark.slow
def test_kernels_compile_for_three_generations(compiled: list[dict[str, object]]) -> None:
    assert {row["arch"] for row in compiled} == {80, 90, 100}
    kernels = {row["kernel"] for row in compiled}
    assert kernels == {"align_pairs", "gate_up_pairs", "down_pairs", "add_up", "attend_parts"}
    for row in compiled:
        assert int(str(row["shared"])) <= {80: 163, 90: 227, 100: 227}[int(str(row["arch"]))] << 10
        assert int(str(row["spills"])) <= 64, row  # bytes of a thread


@pytest.mark.slow
def test_prefill_tiles_use_the_warp_group_products_of_sm_90(
    compiled: list[dict[str, object]],
) -> None:
    prefill = [
        row
        for row in compiled
        if row["arch"] == 90 and row["block_m"] in (64, 128) and row["weights"] == "bf16"
    ]
    assert len(prefill) == 4
    assert all(row["wgmma"] for row in prefill)


@pytest.mark.parametrize(
    ("pairs", "block_m"), [(8, 16), (1024, 16), (2048, 32), (4096, 64), (65536, 128)]
)
def test_tiles_by_rule(pairs: int, block_m: int) -> None:
    assert choose_tiles(pairs, 64, 2048, 1024, "bfloat16", "sm_none").block_m == block_m


@pytest.mark.parametrize("shared", [99 << 10, 163 << 10])
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("pairs", [8, 2048, 4096, 65536])
def test_tiles_fit_smaller_gpus(pairs: int, size: int, shared: int) -> None:
    tiles = choose_tiles(pairs, 64, 2048, 1024, "bfloat16", "sm_none", shared=shared, size=size)
    assert count_shared_bytes(tiles, size) <= shared


def test_tiles_from_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expertrag_kernels.gpu.tiles._TABLES", tmp_path)
    tuned = {"block_m": 16, "block_n": 32, "block_k": 64, "warps": 2, "stages": 5}
    file = tmp_path / "E=3,H=7,I=5,dtype=bfloat16,arch=sm90.json"
    file.write_text(json.dumps({"32": tuned, "64": {**tuned, "block_m": 32}}))
    assert choose_tiles(20, 3, 7, 5, "bfloat16", "sm90") == Tiles(16, 32, 64, 2, 5)
    assert choose_tiles(33, 3, 7, 5, "bfloat16", "sm90").block_m == 32
    assert choose_tiles(999, 3, 7, 5, "bfloat16", "sm90").block_m == 128  # by the rule
