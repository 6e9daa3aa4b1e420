"""Compare our kernels for the experts of a layer with other implementations, in one process.

    python lab/benchmarks/bench_kernels.py --json FILE

Every round draws a routing, probes the machine (bytes read and bfloat16 products per second), and
runs all contestants in turn, in random order; medians are reported. Each starts with an untimed
call with another routing, because the threads of the previous contestant (mostly a pool of its own)
keep spinning for a while. ``roofline`` is the share of the probed limit: the time to read the
experts that are hit, or to compute the products, whichever is longer, divided by the measured time.
``ratio`` is the rival's time divided by ours, for rivals with the same number of bits; transformers
has only bfloat16, which is also compared with our int8 and int4. ``rel_error`` is against float32.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results_file

# otherwise the compiler's processes occupy the cores while the first rows are measured
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
from kernel_rivals import SHAPES, Rival, Run, foreign_rivals, transformers_rivals

from expertrag_kernels import Format, PackedExperts, PlainExperts, fused_experts, layout, pack
from expertrag_kernels import _cpu as cpu
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.reference import reference_experts

TOKENS = (1, 4, 16, 64, 256, 1024)
FORMATS = ("bf16", "int8", "int4")
OURS = "expertrag"
PROBE_BYTES = 256 << 20
MOST_ERROR = 0.2  # int4 of Gaussian weights has .11
CODE = (
    *results_file.KERNELS,
    "lab/benchmarks/bench_kernels.py",
    "lab/benchmarks/kernel_rivals.py",
    "lab/benchmarks/kernel_llamacpp.py",
)


def main() -> None:
    """Measure, print to stderr, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--tokens", nargs="*", type=int, default=list(TOKENS))
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--rivals", type=Path, help="folder of wheels that are not dependencies")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no torch.compile")
    given = parser.parse_args()
    rows = []
    for name in given.shapes:
        shape = Shape.named(name)
        layers = shape.draw_layers()
        contestants = [
            *ours(layers, given.formats),
            *transformers_rivals(layers, compiled=not given.quick),
            *foreign_rivals(layers, given.rivals),
        ]
        check(shape, layers[0], contestants)
        for tokens in given.tokens:
            for row in measure(shape, layers, contestants, tokens, rounds(tokens, given.quick)):
                rows.append(row)
                print(described(row), file=sys.stderr, flush=True)
        del layers, contestants
    results_file.write(given.json, {"rows": rows}, CODE)


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a layer: E experts, K per token, H hidden, I inner; ``layers`` such layers."""

    name: str
    experts: int
    hidden: int
    inner: int
    top_k: int
    layers: int

    @classmethod
    def named(cls, name: str) -> Shape:
        """Return the shape of this name in ``SHAPES``."""
        return cls(name, *SHAPES[name])

    def draw_layers(self) -> list[PlainExperts]:
        """Draw Gaussian weights, scaled so that outputs are as large as inputs."""
        torch.manual_seed(0)
        found = []
        for _ in range(self.layers):
            gate_up = torch.empty(self.experts, 2 * self.inner, self.hidden, dtype=torch.bfloat16)
            down = torch.empty(self.experts, self.hidden, self.inner, dtype=torch.bfloat16)
            gate_up.normal_(std=self.hidden**-0.5)
            down.normal_(std=self.inner**-0.5)
            found.append(PlainExperts(gate_up, down))
        return found

    def draw_routing(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw tokens, and experts with equal probability."""
        index = torch.rand(tokens, self.experts).topk(self.top_k).indices
        weights = torch.rand(tokens, self.top_k) + 0.1
        weights /= weights.sum(dim=1, keepdim=True)
        return torch.randn(tokens, self.hidden).bfloat16(), index, weights

    def roof_seconds(
        self, format: str, hit: float, tokens: int, bandwidth: float, flops: float
    ) -> float:
        """Return the time to read the experts or to compute the products, whichever is longer.

        :param hit: number of distinct experts that are used.
        """
        size = layout.layer_bytes(Format(format), 1, self.hidden, self.inner)
        peak = flops if format == "bf16" else 2 * flops
        return max(
            hit * size / bandwidth, 6 * tokens * self.top_k * self.hidden * self.inner / peak
        )


def ours(layers: Sequence[PlainExperts], formats: Sequence[str]) -> Iterator[Rival]:
    """Yield our kernels in every format."""
    for format in formats:
        yield Rival(OURS, format, [_run(pack(layer, format)) for layer in layers])


def _run(packed: PackedExperts) -> Run:
    return lambda x, index, weights: fused_experts(x, index, weights, packed)


def rounds(tokens: int, quick: bool) -> int:
    """Return the number of rounds."""
    return (5 if tokens >= 256 else 9) if quick else (9 if tokens >= 256 else 25)


def measure(
    shape: Shape,
    layers: Sequence[PlainExperts],
    contestants: Sequence[Rival],
    tokens: int,
    count: int,
) -> Iterator[dict[str, Any]]:
    """Run all contestants in turn; yield a row for each pair of our formats and rivals."""
    present = [rival for rival in contestants if tokens <= (rival.most_tokens or tokens)]
    medians, bandwidth, flop, hits = timed(shape, layers, present, tokens, count)
    for own, spent in zip(present, medians, strict=True):
        if own.name != OURS:
            continue
        roof = shape.roof_seconds(own.format, hits, tokens, bandwidth, flop)
        error = error_of(shape, layers[0], own, tokens)
        for rival, theirs in zip(present, medians, strict=True):
            if rival.name != OURS and (rival.format == own.format or rival.of_transformers):
                yield {
                    "shape": shape.name,
                    "T": tokens,
                    "format": own.format,
                    "rival": f"{rival.name} {rival.format}",
                    "ms": spent * 1e3,
                    "rival_ms": theirs * 1e3,
                    "ratio": theirs / spent,
                    "roofline": roof / spent,
                    "rel_error": error,
                    "read_gb_per_s": bandwidth / 1e9,
                    "peak_gflop_per_s": None if math.isnan(flop) else flop / 1e9,
                }


def timed(
    shape: Shape, layers: Sequence[PlainExperts], present: Sequence[Rival], tokens: int, count: int
) -> tuple[list[float], float, float, float]:
    """Return each contestant's seconds per layer, bandwidth, peak and mean number of used experts.

    All but the last are medians over the rounds.
    """
    seconds: list[list[float]] = [[] for _ in present]
    read = layout.room(PROBE_BYTES).fill_(1)
    bandwidths, flops, hits = [], [], []
    threads = torch.get_num_threads()
    with torch.inference_mode():
        for number in range(-1, count):  # the first round warms up
            routing = shape.draw_routing(tokens)
            other = shape.draw_routing(min(tokens, 16))
            bandwidth = PROBE_BYTES / cpu.read_seconds(read.data_ptr(), PROBE_BYTES, threads)
            flop = cpu.bf16_flops(threads) if ISAS[0] == "avx512bf16" else float("nan")
            for place in random.sample(range(len(present)), len(present)):
                present[place].layers[0](*other)
                start = time.perf_counter()
                for run in present[place].layers:  # in sequence, as in a model
                    run(*routing)
                if number >= 0:
                    seconds[place].append((time.perf_counter() - start) / len(layers))
            if number >= 0:
                bandwidths.append(bandwidth)
                flops.append(flop)
                hits.append(len(routing[1].unique()))
    medians = [statistics.median(some) for some in seconds]
    return medians, statistics.median(bandwidths), statistics.median(flops), statistics.mean(hits)


def check(shape: Shape, layer: PlainExperts, contestants: Sequence[Rival]) -> None:
    """Check that all contestants compute the same result.

    :raises ValueError: one does not.
    """
    for some in contestants:
        error = error_of(shape, layer, some, 16)
        if some.exact and not error < MOST_ERROR:
            raise ValueError(f"{some.name} {some.format} is wrong: relative error {error:.3f}")


def error_of(shape: Shape, layer: PlainExperts, own: Rival, tokens: int) -> float:
    """Relative error against float32, over at most 16 tokens."""
    x, index, weights = shape.draw_routing(min(tokens, 16))
    used = index.unique()
    exact = PlainExperts(layer.gate_up[used].float(), layer.down[used].float())
    wanted = reference_experts(x.float(), torch.searchsorted(used, index), weights, exact)
    found = own.layers[0](x, index, weights)
    return float((found.float() - wanted).norm() / wanted.norm())


def described(row: dict[str, Any]) -> str:
    """Format a row as one line."""
    return (
        f"{row['shape']:<14} T={row['T']:<5} {row['format']:<5} {row['ms']:8.2f} ms  "
        f"{row['ratio']:5.2f} x {row['rival']:<25} {row['roofline']:4.0%} of the roofline "
        f"({row['read_gb_per_s']:.1f} GB/s, {row['peak_gflop_per_s'] or 0:.0f} GFLOP/s)  "
        f"error {row['rel_error']:.4f}"
    )


if __name__ == "__main__":
    main()
