"""Run the GPU kernels in Triton's interpreter, which must be selected before importing them.

Run by test_gpu.py: `TRITON_INTERPRET=1 python gpu_interpreted.py`; prints the cases that hold. On a
GPU, `make lab-gpu` runs the same cases compiled: `python gpu_interpreted.py cuda`.
"""

from __future__ import annotations

import itertools
import sys

import torch

from expertrag_kernels import Activation, PlainExperts, ScaledExperts
from expertrag_kernels.gpu.attention import attend_paged
from expertrag_kernels.gpu.experts import launch
from expertrag_kernels.gpu.tiles import Tiles
from expertrag_kernels.reference import reference_experts
from expertrag_kernels.torch_attention import PagedKeys, attend_gathered

FLOAT = torch.float32
TILES = Tiles(16, 32, 32, 4, 2)
DEVICE = sys.argv[1] if sys.argv[1:] else "cpu"
INTERPRETED = DEVICE == "cpu"
# a GPU multiplies float32 in TF32
TOLERANCE = {
    torch.float32: 1e-5 if INTERPRETED else 5e-3,
    torch.float16: 2e-3 if INTERPRETED else 5e-3,
    torch.bfloat16: 2e-2,
}


def experts_of(experts: int, hidden: int, inner: int, activation: Activation) -> PlainExperts:
    generator = torch.Generator().manual_seed(experts)
    return PlainExperts(
        torch.randn(experts, 2 * inner, hidden, generator=generator).to(DEVICE) / hidden**0.5,
        torch.randn(experts, hidden, inner, generator=generator).to(DEVICE) / inner**0.5,
        activation,
    )


def check(
    name: str,
    plain: PlainExperts,
    index: torch.Tensor,
    dtype: torch.dtype,
    rounded: torch.dtype | None = None,
) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(index.shape[0], plain.hidden_size, generator=generator).to(DEVICE, dtype)
    weights = torch.rand(index.shape, generator=generator).to(DEVICE)
    index = index.to(DEVICE)
    own: PlainExperts | ScaledExperts = plain.to(plain.device, dtype)
    if rounded is not None:
        own = ScaledExperts.of(plain, rounded)
    found = launch(x, index, weights, own, TILES, upcast=INTERPRETED)
    exact = own.plain(torch.float32) if isinstance(own, ScaledExperts) else own
    exact = exact.to(exact.device, torch.float32)
    sentinel = plain.num_experts
    valid = torch.where((index < 0) | (index > sentinel), sentinel, index)
    wanted = reference_experts(x.float(), valid, weights, exact)
    assert found.dtype == dtype and found.shape == x.shape, name
    scale = float(wanted.abs().max()) if wanted.numel() else 1.0
    error = float((found.float() - wanted).abs().max()) if wanted.numel() else 0.0
    assert error <= TOLERANCE[dtype] * max(scale, 1.0), (name, error)
    sys.stdout.write(f"{name}\n")


def with_biases(plain: PlainExperts) -> PlainExperts:
    generator = torch.Generator().manual_seed(5)
    shapes = plain.gate_up.shape[:2], plain.down.shape[:2]
    biases = (torch.randn(shape, generator=generator) for shape in shapes)
    return PlainExperts(plain.gate_up * 4, plain.down, Activation.CLAMPED_SWIGLU, *biases)


def check_attention(
    dtype: torch.dtype, heads: int, groups: int, width: int, value_width: int, window: int = 0
) -> None:
    """Check rows of sequences from one token to more pages than parts, against torch."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.tensor([1, 64, 65, 200, 64 * 11 + 5], dtype=torch.int32).to(DEVICE)
    rows, pages = len(lengths), 13

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(DEVICE, dtype)

    tables = torch.stack([torch.randperm(pages, generator=generator)[:12] for _ in range(rows)])
    # heads of a slot, behind something else
    query = numbers(rows, 5 + heads * width)[:, 5:].view(rows, heads, width)
    keys, values = numbers(pages * 64, groups, width), numbers(pages * 64, groups, value_width)
    sinks = (torch.randn(heads, generator=generator) * 3).to(DEVICE) if window else None
    paged = PagedKeys(keys, values, tables.int().to(DEVICE), lengths)
    found = attend_paged(query, paged, 0.2, window, sinks, upcast=INTERPRETED)
    exact = paged._replace(keys=keys.float(), values=values.float())
    wanted = attend_gathered(query.float(), exact, 0.2, window, sinks)
    name = f"attention of {heads} heads by {groups}, {width} and {value_width} wide, {dtype}"
    name += f", window {window}" * bool(window)
    error = float((found.float() - wanted).abs().max())
    assert found.dtype == dtype and error <= TOLERANCE[dtype], (name, error)
    sys.stdout.write(f"{name}\n")


def main() -> None:
    draw = torch.Generator().manual_seed(2)

    def routing(tokens: int, experts: int, top_k: int) -> torch.Tensor:
        return torch.rand(tokens, experts, generator=draw).topk(top_k).indices

    small = experts_of(5, 48, 40, Activation.SILU)
    for tokens, top_k in itertools.product((0, 1, 3, 40), (1, 2, 5)):
        check(f"T={tokens} K={top_k}", small, routing(tokens, 5, top_k), torch.float32)
    for activation in Activation:
        check(str(activation), experts_of(3, 32, 32, activation), routing(9, 3, 2), torch.float32)
    for dtype in (torch.float16, torch.bfloat16):
        check(str(dtype), small, routing(20, 5, 2), dtype)
        for rounded in (torch.int8, torch.float8_e4m3fn):
            check(f"{dtype} tokens, {rounded}", small, routing(20, 5, 2), dtype, rounded)
    odd = experts_of(7, 33, 29, Activation.SILU)
    check("odd sizes", odd, routing(18, 7, 3), FLOAT)
    check("one expert takes all", small, torch.full((37, 2), 3), FLOAT)
    check("the same expert twice", small, routing(6, 5, 1).expand(6, 2), FLOAT)
    check("sentinels", small, torch.tensor([[0, 5], [9, 5], [2, 3]]), torch.float32)
    most = torch.iinfo(torch.int64).max
    check("sentinels beyond int32", small, torch.tensor([[0, 1], [2, most]]), FLOAT)
    check("another", small, torch.tensor([[0, 1], [2**31, 3], [-1, 2]]), FLOAT)
    check("one expert", experts_of(1, 32, 32, Activation.SILU), routing(9, 1, 1), FLOAT)
    check("more pairs than a chunk", small, routing(100, 5, 2), torch.float32)
    check_attention(FLOAT, 9, 3, 64, 64)
    check_attention(FLOAT, 4, 4, 24, 12)
    check_attention(torch.bfloat16, 32, 1, 128, 128)
    for window in (1, 64, 65, 200):
        check_attention(FLOAT, 8, 2, 32, 24, window)
    check("biases", with_biases(small), routing(20, 5, 2), FLOAT)
    check("biases and odd sizes", with_biases(odd), routing(18, 7, 3), torch.bfloat16)


if __name__ == "__main__":
    main()
