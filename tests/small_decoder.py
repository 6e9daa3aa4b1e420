"""A decoder of a few steps, and what torch makes of the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from expertrag_kernels import Format, PlainExperts
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.steps import (
    OUTPUT,
    AttentionViews,
    CacheShape,
    SequenceRows,
    SlotView,
    Steps,
)
from expertrag_kernels.torch_decoder import TorchDecoder

HIDDEN, HEADS, GROUPS, WIDTH, VALUE, VOCABULARY, PAGES = 48, 4, 2, 20, 12, 70, 12
KEYS = GROUPS * WIDTH
LONGEST = 4 * 64


Make = Callable[[CacheShape, int], Steps[Any, Any]]


@dataclass
class Model:
    """One layer of attention and a dense layer, in our steps and in torch."""

    decoder: Steps[Any, Any]
    table: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    experts: PlainExperts
    cos: torch.Tensor
    sin: torch.Tensor
    window: int = 0
    sinks: torch.Tensor | None = None

    def expected(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (T, V) of a text, in float32."""
        x = self.table[tokens]
        y = F.rms_norm(x, (HIDDEN,), eps=1e-6)
        q, k, v = (y @ self.qkv.T).split([HEADS * WIDTH, KEYS, GROUPS * VALUE], dim=1)
        q, k = (
            self._turned(q.view(len(x), HEADS, WIDTH)),
            self._turned(k.view(len(x), -1, WIDTH)),
        )
        repeated = k.repeat_interleave(2, dim=1), v.view(len(x), -1, VALUE).repeat_interleave(2, 1)
        q, k, v = (part.transpose(0, 1)[None] for part in (q, *repeated))
        x = x + self._attended(q[0], k[0], v[0]).transpose(0, 1).flatten(1) @ self.out.T
        gate, up = (x @ self.experts.gate_up[0].T).chunk(2, dim=1)
        return (x + (F.silu(gate) * up) @ self.experts.down[0].T) @ self.table.T

    def _attended(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Attend with heads (H, T, D), written out: a sink is one more column, without a value."""
        count = q.shape[1]
        seen = torch.ones(count, count, dtype=torch.bool).tril()
        if self.window:
            seen = seen.triu(1 - self.window)
        scores = (q @ k.transpose(1, 2) * 0.3).masked_fill(~seen, -torch.inf)
        if self.sinks is not None:
            sinks = self.sinks[:, None, None].expand(-1, count, 1)
            scores = torch.cat([scores, sinks], 2)
        return scores.softmax(2)[:, :, :count] @ v

    def _turned(self, heads: torch.Tensor) -> torch.Tensor:
        half = self.cos.shape[1]
        cos, sin = (part[: len(heads), None] for part in (self.cos, self.sin))
        a, b, rest = heads.split([half, half, WIDTH - 2 * half], dim=2)
        return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=2)


def in_torch(dtype: torch.dtype) -> Make:
    """Make decoders for GPUs, on the CPU."""
    return partial(TorchDecoder, device=torch.device("cpu"), dtype=dtype)


def small_model(
    format: Format,
    make: Make = Decoder,
    *,
    pages: int = PAGES,
    window: int = 0,
    sinks: torch.Tensor | None = None,
) -> Model:
    torch.manual_seed(0)
    table = torch.randn(VOCABULARY, HIDDEN)
    qkv = torch.randn((HEADS + GROUPS) * WIDTH + GROUPS * VALUE, HIDDEN) / 7
    out = torch.randn(HIDDEN, HEADS * VALUE) / 7
    experts = PlainExperts(torch.randn(1, 72, HIDDEN) / 7, torch.randn(1, HIDDEN, 36) / 6)
    angles = torch.arange(LONGEST)[:, None] * torch.rand(8)[None]
    exact = Format.F32 if format is Format.F32 else Format.BF16
    d = make(CacheShape(1, GROUPS, WIDTH, VALUE, format=exact), pages)
    x, y, both = d.slot(HIDDEN), d.slot(HIDDEN), d.slot(qkv.shape[0])
    heads, last = d.slot(HEADS * VALUE), d.slot(HIDDEN)
    packed_table = d.matrix(table, format)
    d.embed(x, packed_table)
    d.norm(x, y, torch.ones(HIDDEN), 1e-6)
    d.linear(y, both, d.matrix(qkv, format))
    query, key = SlotView(both.slot, 0, WIDTH), SlotView(both.slot, HEADS * WIDTH, WIDTH)
    value = SlotView(both.slot, (HEADS + GROUPS) * WIDTH, VALUE)
    for view, count in ((query, HEADS), (key, GROUPS)):
        d.rope(view, count, angles.cos(), angles.sin(), interleaved=False)
    views = AttentionViews(query, key, value, SlotView(heads.slot, 0, VALUE))
    d.attend(views, layer=0, heads=HEADS, scale=0.3, window=window, sinks=sinks)
    d.linear(heads, x, d.matrix(out, format), add=True)
    d.mix(x, x, d.experts(experts, format))
    d.keep(x, HIDDEN)
    d.pick(x, last)
    d.linear(last, OUTPUT, packed_table)
    return Model(d, table, qkv, out, experts, angles.cos(), angles.sin(), window, sinks)


def some_tokens(count: int, seed: int) -> torch.Tensor:
    return torch.randint(VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))


def whole_text(model: Model, tokens: torch.Tensor, pages: torch.Tensor) -> torch.Tensor:
    places = torch.arange(len(tokens))
    return model.decoder.run(tokens, places, [SequenceRows(0, len(tokens), pages)], places)[0]


def in_parts(
    model: Model, texts: tuple[torch.Tensor, torch.Tensor], pages: tuple[torch.Tensor, torch.Tensor]
) -> list[torch.Tensor]:
    """Logits of texts of 140 and 67 tokens, in batches that hold a part of both.

    A long part is beside a short one, in both orders, and one row is alone.
    """
    found: list[list[torch.Tensor]] = [[], []]
    for first, second in (((0, 61), (0, 1)), ((61, 62), (1, 60)), ((62, 140), (60, 67))):
        rows = [texts[0][slice(*first)], texts[1][slice(*second)]]
        places = [torch.arange(*first), torch.arange(*second)]
        middle, end = len(rows[0]), len(rows[0]) + len(rows[1])
        parts = [SequenceRows(0, middle, pages[0]), SequenceRows(middle, end, pages[1])]
        logits, _ = model.decoder.run(torch.cat(rows), torch.cat(places), parts, torch.arange(end))
        found[0].append(logits[:middle])
        found[1].append(logits[middle:])
    return [torch.cat(logits) for logits in found]
