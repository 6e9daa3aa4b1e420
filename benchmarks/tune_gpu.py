"""Tune the tiles of a shape on this GPU, and write them to the folder that the kernels read.

    python benchmarks/tune_gpu.py --experts 64 --hidden 2048 --inner 1024 --top-k 8

For each number of tokens, every candidate is timed with CUDA events, as the median of 20 runs;
candidates that do not fit the GPU are skipped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from triton.runtime.errors import OutOfResources

from expertrag_kernels import PlainExperts, ScaledExperts
from expertrag_kernels.gpu import tiles
from expertrag_kernels.gpu.experts import launch
from expertrag_kernels.gpu.tiles import Tiles

TOKENS = (1, 4, 16, 64, 256, 1024, 4096)
RUNS = 20
DTYPES = {"bfloat16": None, "int8": torch.int8, "float8_e4m3fn": torch.float8_e4m3fn}


def main() -> int:
    """Tune the tiles, print them, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in ("experts", "hidden", "inner", "top-k"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write("error: torch finds no GPU; run this on the GPU to tune for\n")
        return 1
    experts = draw(given.experts, given.hidden, given.inner, given.dtype)
    table = {}
    for tokens in TOKENS:
        found = {some: milliseconds(experts, tokens, given.top_k, some) for some in candidates()}
        usable = {some: ms for some, ms in found.items() if ms is not None}
        best = min(usable, key=lambda some: usable[some])
        table[str(tokens * given.top_k)] = asdict(best)
        print(f"T={tokens:<5} {usable[best]:8.3f} ms  {best}", flush=True)
    major, minor = torch.cuda.get_device_capability()
    shape = f"E={given.experts},H={given.hidden},I={given.inner}"
    folder = Path(tiles.__file__).with_name("tiles")
    folder.mkdir(exist_ok=True)
    file = folder / f"{shape},dtype={given.dtype},arch=sm{major}{minor}.json"
    file.write_text(json.dumps(table, indent=1) + "\n")
    print(f"wrote {file}")
    return 0


def draw(count: int, hidden: int, inner: int, dtype: str) -> PlainExperts | ScaledExperts:
    """Draw Gaussian experts on the GPU."""
    plain = PlainExperts(
        torch.randn(count, 2 * inner, hidden, device="cuda", dtype=torch.bfloat16) * hidden**-0.5,
        torch.randn(count, hidden, inner, device="cuda", dtype=torch.bfloat16) * inner**-0.5,
    )
    rounded = DTYPES[dtype]
    return plain if rounded is None else ScaledExperts.of(plain, rounded)


def candidates() -> Iterator[Tiles]:
    """Yield the tiles to try."""
    for m, n, k in itertools.product((16, 32, 64, 128), (32, 64, 128), (32, 64, 128)):
        for warps, stages in itertools.product((4, 8), (2, 3, 4)):
            yield Tiles(m, n, k, warps, stages)


def milliseconds(
    experts: PlainExperts | ScaledExperts, tokens: int, top_k: int, some: Tiles
) -> float | None:
    """Time one candidate; None if it does not fit."""
    x = torch.randn(tokens, experts.hidden_size, device="cuda", dtype=torch.bfloat16)
    index = torch.rand(tokens, experts.num_experts, device="cuda").topk(top_k).indices
    weights = torch.rand(tokens, top_k, device="cuda")
    spent = []
    try:
        for _ in range(RUNS + 3):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            launch(x, index, weights, experts, some)
            end.record()
            end.synchronize()
            spent.append(begin.elapsed_time(end))
    except OutOfResources:
        return None
    median: float = statistics.median(spent[3:])
    return median


if __name__ == "__main__":
    sys.exit(main())
