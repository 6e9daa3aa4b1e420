"""Triton kernels of the experts' forward pass.

    T tokens, K experts of a token, S = T * K pairs, E experts, H hidden, I inner

Pairs are sorted by expert into blocks of ``BLOCK_M`` places, each of one expert; empty places hold
S. A sentinel (an expert >= E) has no place.

The interpreter (``TRITON_INTERPRET=1``) multiplies bfloat16 incorrectly, as integers: ``UPCAST``
converts the operands to float32 before each product, which is exact.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _expert_of(index, pair, pairs, experts):
    """Load the experts of pairs; E for every sentinel, also one beyond int32."""
    expert = tl.load(index + pair, mask=pair < pairs, other=experts)
    return tl.where((expert >= 0) & (expert < experts), expert, experts).to(tl.int32)


@triton.jit
def align_pairs(
    index,  # (S,) int64: expert of every pair
    pairs_of_places,  # (blocks * BLOCK_M,) int32, out
    expert_of_blocks,  # (blocks,) int32, out: E for an unused block
    pairs,  # S
    blocks,
    experts,  # E
    BLOCK_M: tl.constexpr,
    EXPERTS: tl.constexpr,  # E, rounded up to a power of two
    CHUNK: tl.constexpr,
):
    """Sort pairs by expert. A single program: it counts, then assigns places in order."""
    lanes = tl.arange(0, EXPERTS)
    chunk = tl.arange(0, CHUNK)
    counts = tl.zeros((EXPERTS,), tl.int32)
    for start in range(0, pairs, CHUNK):
        at = start + chunk
        expert = _expert_of(index, at, pairs, experts)
        hits = (expert[:, None] == lanes[None, :]) & (lanes[None, :] < experts)
        counts += tl.sum(hits.to(tl.int32), axis=0)
    own_blocks = (counts + BLOCK_M - 1) // BLOCK_M
    block_ends = tl.cumsum(own_blocks, axis=0)
    next_place = (block_ends - own_blocks) * BLOCK_M
    for start in range(0, blocks, CHUNK):
        block = start + chunk
        before = (block[:, None] >= block_ends[None, :]) & (lanes[None, :] < experts)
        expert = tl.sum(before.to(tl.int32), axis=1)
        tl.store(expert_of_blocks + block, expert, mask=block < blocks)
    for start in range(0, blocks * BLOCK_M, CHUNK):
        place = start + chunk
        tl.store(pairs_of_places + place, pairs, mask=place < blocks * BLOCK_M)
    tl.debug_barrier()  # mark all places empty before assigning any
    for start in range(0, pairs, CHUNK):
        at = start + chunk
        expert = _expert_of(index, at, pairs, experts)
        hits = (expert[:, None] == lanes[None, :]) & (lanes[None, :] < experts)
        ones = hits.to(tl.int32)
        rank = tl.cumsum(ones, axis=0) - ones  # within the chunk
        place = tl.sum(tl.where(hits, next_place[None, :] + rank, 0), axis=1)
        tl.store(pairs_of_places + place, at, mask=(at < pairs) & (expert < experts))
        next_place += tl.sum(ones, axis=0)


@triton.jit
def apply_gate(gate, up, ACTIVATION: tl.constexpr):
    """Join gate and up by one of the activations in float32."""
    if ACTIVATION == "silu":
        return gate / (1.0 + tl.exp(-gate)) * up
    elif ACTIVATION == "gelu":
        return 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476)) * up
    elif ACTIVATION == "gelu_tanh":
        inside = 0.7978845608028654 * (gate + 0.044715 * gate * gate * gate)
        return gate / (1.0 + tl.exp(-2.0 * inside)) * up
    elif ACTIVATION == "clamped_swiglu":
        gate = tl.where(gate > 7.0, 7.0, gate)
        up = tl.where(up > 7.0, 7.0, tl.where(up < -7.0, -7.0, up))
        return gate / (1.0 + tl.exp(-1.702 * gate)) * (up + 1.0)
    else:
        return tl.maximum(gate, 0.0) * up


@triton.jit
def _product(a, b, total, UPCAST: tl.constexpr):
    """Add a @ b to ``total`` in float32; 8-bit weights are converted to the type of the tokens."""
    if UPCAST:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), total, input_precision="ieee")
    return tl.dot(a, b.to(a.dtype), total, input_precision="ieee")


@triton.jit
def gate_up_pairs(
    x,  # (T, H)
    weights,  # (E, 2I, H)
    scales,  # (E, 2I) float32, of weights in 8 bits
    biases,  # (E, 2I)
    pairs_of_places,
    expert_of_blocks,
    h,  # (S, I), out
    pairs,
    experts,
    top_k,
    hidden,
    inner,
    ACTIVATION: tl.constexpr,
    SCALED: tl.constexpr,
    BIASED: tl.constexpr,
    UPCAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """h = activation(gate @ x) * (up @ x); gate and up share the tile of x, gathered by pairs."""
    block, column_block = tl.program_id(1), tl.program_id(0)
    expert = tl.load(expert_of_blocks + block).to(tl.int64)
    if expert >= experts:
        return
    pair = tl.load(pairs_of_places + block * BLOCK_M + tl.arange(0, BLOCK_M))  # [M]
    there = pair < pairs
    columns = column_block * BLOCK_N + tl.arange(0, BLOCK_N)  # [N]
    inside = columns < inner
    lane = tl.arange(0, BLOCK_K)
    rows = x + (pair // top_k).to(tl.int64)[:, None] * hidden  # [M, 1]
    gate_row = weights + (expert * 2 * inner + columns)[None, :] * hidden  # [1, N]
    up_row = gate_row + inner.to(tl.int64) * hidden
    gate = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    up = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, hidden, BLOCK_K):
        k = start + lane
        a = tl.load(rows + k[None, :], mask=there[:, None] & (k < hidden)[None, :], other=0.0)
        mask = inside[None, :] & (k < hidden)[:, None]
        gate = _product(a, tl.load(gate_row + k[:, None], mask=mask, other=0.0), gate, UPCAST)
        up = _product(a, tl.load(up_row + k[:, None], mask=mask, other=0.0), up, UPCAST)
    if SCALED:
        own = scales + expert * 2 * inner + columns
        gate *= tl.load(own, mask=inside, other=0.0)[None, :]
        up *= tl.load(own + inner, mask=inside, other=0.0)[None, :]
    if BIASED:
        own = biases + expert * 2 * inner + columns
        gate += tl.load(own, mask=inside, other=0.0).to(tl.float32)[None, :]
        up += tl.load(own + inner, mask=inside, other=0.0).to(tl.float32)[None, :]
    out = apply_gate(gate, up, ACTIVATION).to(h.dtype.element_ty)
    to = h + pair.to(tl.int64)[:, None] * inner + columns[None, :]
    tl.store(to, out, mask=there[:, None] & inside[None, :])


@triton.jit
def down_pairs(
    h,  # (S, I)
    weights,  # (E, H, I)
    scales,  # (E, H) float32, of weights in 8 bits
    biases,  # (E, H)
    routing,  # (S,) float32
    pairs_of_places,
    expert_of_blocks,
    y,  # (S, H) float32, out
    pairs,
    experts,
    hidden,
    inner,
    SCALED: tl.constexpr,
    BIASED: tl.constexpr,
    UPCAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """y = (down @ h + bias) * the pair's routing weight."""
    block, column_block = tl.program_id(1), tl.program_id(0)
    expert = tl.load(expert_of_blocks + block).to(tl.int64)
    if expert >= experts:
        return
    pair = tl.load(pairs_of_places + block * BLOCK_M + tl.arange(0, BLOCK_M))  # [M]
    there = pair < pairs
    columns = column_block * BLOCK_N + tl.arange(0, BLOCK_N)  # [N]
    inside = columns < hidden
    lane = tl.arange(0, BLOCK_K)
    rows = h + pair.to(tl.int64)[:, None] * inner  # [M, 1]
    row = weights + (expert * hidden + columns)[None, :] * inner  # [1, N]
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, inner, BLOCK_K):
        k = start + lane
        a = tl.load(rows + k[None, :], mask=there[:, None] & (k < inner)[None, :], other=0.0)
        mask = inside[None, :] & (k < inner)[:, None]
        total = _product(a, tl.load(row + k[:, None], mask=mask, other=0.0), total, UPCAST)
    if SCALED:
        total *= tl.load(scales + expert * hidden + columns, mask=inside, other=0.0)[None, :]
    if BIASED:
        own = biases + expert * hidden + columns
        total += tl.load(own, mask=inside, other=0.0).to(tl.float32)[None, :]
    total *= tl.load(routing + pair, mask=there, other=0.0)[:, None]
    to = y + pair.to(tl.int64)[:, None] * hidden + columns[None, :]
    tl.store(to, total, mask=there[:, None] & inside[None, :])


@triton.jit
def add_up(
    y,  # (S, H) float32
    index,  # (S,) int64
    out,  # (T, H), out
    experts,
    top_k,
    hidden,
    BLOCK_N: tl.constexpr,
):
    """Sum the pairs of a token in float32, in order; sentinels were never computed."""
    token, column_block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    columns = column_block * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = columns < hidden
    total = tl.zeros((BLOCK_N,), tl.float32)
    for k in range(top_k):
        pair = token * top_k + k
        value = tl.load(y + pair * hidden + columns, mask=inside, other=0.0)
        expert = tl.load(index + pair)
        total += tl.where((expert >= 0) & (expert < experts), value, 0.0)
    tl.store(out + token * hidden + columns, total.to(out.dtype.element_ty), mask=inside)
