"""Tune the tiles of a shape on this GPU, and write them to the folder that the kernels read.

    python lab/benchmarks/tune_gpu.py --experts 64 --hidden 2048 --inner 1024 --top-k 8

For each number of tokens, every candidate is timed with CUDA events, as the median of 20 runs;
candidates that do not fit the GPU are skipped. ``--seconds`` ends the search early: the tiles by
rule are tried first, then others in random order.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from triton.runtime.errors import OutOfResources

from expertrag_kernels import PlainExperts, ScaledExperts
from expertrag_kernels.gpu import tiles
from expertrag_kernels.gpu.experts import launch
from expertrag_kernels.gpu.tiles import Tiles, choose_tiles

TOKENS = (1, 4, 16, 64, 256, 1024, 4096)
RUNS = 20
DTYPES = {"bfloat16": None, "int8": torch.int8, "float8_e4m3fn": torch.float8_e4m3fn}


def main() -> int:
    """Tune the tiles, print them, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in ("experts", "hidden", "inner", "top-k"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of the search")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write("error: torch finds no GPU; run this on the GPU to tune for\n")
        return 1
    experts = draw(given.experts, given.hidden, given.inner, given.dtype)
    table = tuned(experts, given.top_k, TOKENS, given.seconds, tried(experts, given.top_k, TOKENS))
    for tokens, (ms, best) in table.items():
        print(f"T={tokens:<5} {ms:8.3f} ms  {best}", flush=True)
    print(f"wrote {write_table(experts, given.top_k, table)}")
    return 0


def tuned(
    experts: PlainExperts | ScaledExperts,
    top_k: int,
    tokens: Sequence[int],
    seconds: float,
    candidates: Iterable[Tiles],
) -> dict[int, tuple[float, Tiles]]:
    """Return the fastest tiles and their milliseconds by the number of tokens.

    :param seconds: after which no further candidate is tried.
    """
    found: dict[int, tuple[float, Tiles]] = {}
    end = time.monotonic() + seconds
    for some in candidates:
        for count in tokens:
            ms = milliseconds(experts, count, top_k, some)
            if ms is not None and ms < found.get(count, (math.inf, some))[0]:
                found[count] = ms, some
        if time.monotonic() > end:
            break
    return found


def tried(
    experts: PlainExperts | ScaledExperts, top_k: int, tokens: Sequence[int]
) -> Iterator[Tiles]:
    """Yield the tiles by rule for all numbers of tokens, and all candidates in random order."""
    shape = experts.num_experts, experts.hidden_size, experts.inner_size
    by_rule = (choose_tiles(count * top_k, *shape, "none", "none") for count in tokens)
    yield from dict.fromkeys(by_rule)
    yield from random.Random(0).sample(found := list(candidates()), len(found))


def write_table(
    experts: PlainExperts | ScaledExperts, top_k: int, table: Mapping[int, tuple[float, Tiles]]
) -> Path:
    """Write the table of this GPU where the kernels read it; return the file."""
    major, minor = torch.cuda.get_device_capability()
    dtype = str(experts.down.dtype).removeprefix("torch.")
    shape = f"E={experts.num_experts},H={experts.hidden_size},I={experts.inner_size}"
    folder = Path(tiles.__file__).with_name("tiles")
    folder.mkdir(exist_ok=True)
    file = folder / f"{shape},dtype={dtype},arch=sm{major}{minor}.json"
    rows = {str(tokens * top_k): asdict(best) for tokens, (_, best) in table.items()}
    file.write_text(json.dumps(rows, indent=1) + "\n")
    return file


def draw(
    count: int, hidden: int, inner: int, dtype: str, device: str = "cuda"
) -> PlainExperts | ScaledExperts:
    """Draw Gaussian experts."""
    on: dict[str, Any] = {"device": device, "dtype": torch.bfloat16}
    plain = PlainExperts(
        torch.randn(count, 2 * inner, hidden, **on) * hidden**-0.5,
        torch.randn(count, hidden, inner, **on) * inner**-0.5,
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
    device = experts.device
    x = torch.randn(tokens, experts.hidden_size, device=device, dtype=torch.bfloat16)
    index = torch.rand(tokens, experts.num_experts, device=device).topk(top_k).indices
    weights = torch.rand(tokens, top_k, device=device)
    interpreted = device.type == "cpu"
    try:
        return timed(lambda: launch(x, index, weights, experts, some, upcast=interpreted), device)
    except OutOfResources:
        return None


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Return the milliseconds of a call: the median of 20 on a GPU, one on the CPU."""
    if device.type == "cpu":
        started = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - started)
    spent = []
    for _ in range(RUNS + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        spent.append(begin.elapsed_time(end))
    median: float = statistics.median(spent[3:])
    return median


if __name__ == "__main__":
    sys.exit(main())
