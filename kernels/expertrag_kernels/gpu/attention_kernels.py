"""Triton kernel of paged attention; for its names see attention.py."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def attend_parts(
    query,  # (R, H, D), with strides query_row and query_head
    keys,  # (places, groups, D)
    values,  # (places, groups, V)
    tables,  # (R, M) int32
    lengths,  # (R,) int32
    averages,  # (R, H, PARTS, V) float32, out: each part's average
    sums,  # (R, H, PARTS) float32, out: the logarithm of its weights' sum
    query_row,
    query_head,
    table_row,
    heads,
    groups,
    width,
    value_width,
    scale,
    window,  # positions that a row attends to, its own last
    PAGE: tl.constexpr,
    PARTS: tl.constexpr,
    SHARING: tl.constexpr,  # heads that share a key, rounded up to what a product needs
    WIDTH: tl.constexpr,
    VALUE_WIDTH: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Attend over every PARTS-th page of a row's window, with the heads that share a key."""
    row, group, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    sharing = heads // groups
    lane = tl.arange(0, SHARING)
    head = group * sharing + lane  # [S]
    there = lane < sharing
    d, v, token = tl.arange(0, WIDTH), tl.arange(0, VALUE_WIDTH), tl.arange(0, PAGE)
    at = query + row * query_row + head[:, None] * query_head + d[None, :]
    q = tl.load(at, mask=there[:, None] & (d < width)[None, :], other=0.0)  # [S, D]
    length = tl.load(lengths + row)
    greatest = tl.full((SHARING,), -float("inf"), tl.float32)
    total = tl.zeros((SHARING,), tl.float32)
    average = tl.zeros((SHARING, VALUE_WIDTH), tl.float32)
    oldest = tl.maximum(length - window, 0)
    for page in range(oldest // PAGE + part, (length + PAGE - 1) // PAGE, PARTS):
        place = tl.load(tables + row * table_row + page).to(tl.int64) * PAGE + token  # [P]
        position = page * PAGE + token
        seen = (position >= oldest) & (position < length)
        own = (place * groups + group)[:, None]
        k = tl.load(keys + own * width + d[None, :], mask=(d < width)[None, :], other=0.0)
        w = tl.load(
            values + own * value_width + v[None, :], mask=(v < value_width)[None, :], other=0.0
        )
        if UPCAST:
            scores = tl.dot(q.to(tl.float32), tl.trans(k.to(tl.float32)), input_precision="ieee")
        else:
            scores = tl.dot(q, tl.trans(k), input_precision="ieee")
        scores = tl.where(seen[None, :], scores * scale, -float("inf"))  # [S, P]
        higher = tl.maximum(greatest, tl.max(scores, 1))
        shrunk = tl.exp(greatest - higher)
        weights = tl.exp(scores - higher[:, None])
        total = total * shrunk + tl.sum(weights, 1)
        average = average * shrunk[:, None]
        if UPCAST:
            average = tl.dot(weights, w.to(tl.float32), average, input_precision="ieee")
        else:
            average = tl.dot(weights.to(w.dtype), w, average, input_precision="ieee")
        greatest = higher
    to = (row * heads + head) * PARTS + part  # [S]
    empty = total == 0.0
    tl.store(sums + to, tl.where(empty, -float("inf"), greatest + tl.log(total)), mask=there)
    out = average / tl.where(empty, 1.0, total)[:, None]
    inside = there[:, None] & (v < value_width)[None, :]
    tl.store(averages + to.to(tl.int64)[:, None] * value_width + v[None, :], out, mask=inside)
