"""A mixture of OLMoE's layer shape with random weights and planted routing, for residency.py.

The routing is planted so that it repeats as that of trained models does, by topic. Every token
belongs to one of ``TOPICS``; its embedding is the topic's direction plus noise of ``NOISE`` times
its length, and the residual stream stays close to it, because the blocks' outputs are small. The
routers are random, so a topic prefers some experts in every layer, and each of its tokens deviates.
A text stays on a topic for ``STAY`` tokens on average and then draws another by Zipf's law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from expertrag_kernels import (
    Format,
    Packed,
    PackedExperts,
    PackedMatrix,
    PlainExperts,
    load_packed,
    save_packed,
)
from expertrag_kernels.cpu_experts import pack_matrix, pack_plain
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.router import Router
from expertrag_kernels.steps import OUTPUT, AttentionViews, CacheShape, SlotView

HIDDEN, INNER, EXPERTS, TOP_K, HEADS, WIDTH = 2048, 1024, 64, 8, 16, 128
WORDS, TOPICS, NOISE, STAY, LONGEST = 4096, 32, 1.0, 48, 1024
PROMPT, TOKENS = 64, 160  # of the text; the tokens after the prompt are decoded
_QKV = 3 * HEADS * WIDTH
_SMALL = 0.1  # of what a block adds to the residual stream


@dataclass(frozen=True, slots=True)
class Mixture:
    """A planned mixture: its decoder, experts of a layer and of a token, and a text for it (T,).

    ``routers``: indices of the layers' router logits among the values that the decoder keeps.
    """

    decoder: Decoder
    routers: Sequence[int]
    experts: int
    top_k: int
    text: torch.Tensor

    @property
    def layers(self) -> int:
        """Number of its layers; all have experts."""
        return len(self.routers)


def write_model(path: Path, layers: int) -> None:
    """Write the packed weights; experts in int4, as of a model that does not fit into memory."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        made = torch.randn(shape, generator=generator, dtype=torch.float32)
        return made.mul(scale * shape[-1] ** -0.5).bfloat16()

    topics = torch.randn((TOPICS, HIDDEN), generator=generator)
    own = torch.randn((WORDS, HIDDEN), generator=generator)
    table = topics[topic_of(torch.arange(WORDS))] + NOISE * own
    weights: dict[str, Packed] = {
        "table": pack_matrix(table.bfloat16(), Format.INT8),
        "norm": torch.ones(HIDDEN),
    }
    gate_up, down = normal(EXPERTS, 2 * INNER, HIDDEN), normal(EXPERTS, HIDDEN, INNER, scale=_SMALL)
    experts = pack_plain(PlainExperts(gate_up, down), Format.INT4)
    for layer in range(layers):
        weights[f"{layer}.qkv"] = pack_matrix(normal(_QKV, HIDDEN), Format.INT4)
        weights[f"{layer}.out"] = pack_matrix(normal(HIDDEN, HIDDEN, scale=_SMALL), Format.INT4)
        weights[f"{layer}.router"] = pack_matrix(normal(EXPERTS, HIDDEN), Format.BF16)
        # packing takes long: every layer has the same experts by other numbers
        data = experts.data.view(EXPERTS, -1).roll(7 * layer, 0).flatten()
        weights[f"{layer}.experts"] = replace(experts, data=data)
    save_packed(weights, path)


def topic_of(tokens: torch.Tensor) -> torch.Tensor:
    """Return the topic of each token."""
    return tokens.remainder(TOPICS)


def text(length: int, seed: int) -> torch.Tensor:
    """Return the tokens of a text."""
    generator = torch.Generator().manual_seed(seed)
    by_rank = 1 / torch.arange(1, TOPICS + 1)  # Zipf's law
    tokens, topic = [], 0
    for place in range(length):
        if not place or float(torch.rand(1, generator=generator)) < 1 / STAY:
            topic = int(torch.multinomial(by_rank, 1, generator=generator))
        word = int(torch.randint(WORDS // TOPICS, (1,), generator=generator))
        tokens.append(word * TOPICS + topic)
    return torch.tensor(tokens)


def planned(path: Path, *, limited: bool) -> Mixture:
    """Plan the model on mapped weights.

    :param limited: map the experts only, as ``lab.weights_mib`` does.
    """
    packed = load_packed(path, mapped=not limited, mixtures_mapped=limited)
    layers = sum(name.endswith(".experts") for name in packed)
    pages = -(-LONGEST // 64)
    d = Decoder(CacheShape(layers, HEADS, WIDTH, WIDTH, format=Format.BF16), pages)
    x, y, last = d.slot(HIDDEN), d.slot(HIDDEN), d.slot(HIDDEN)
    both, heads, logits = d.slot(_QKV), d.slot(HIDDEN), d.slot(EXPERTS)
    query, key, value = (SlotView(both.slot, part * HIDDEN, WIDTH) for part in range(3))
    frequencies = 10000.0 ** (-torch.arange(WIDTH // 2) / (WIDTH // 2))
    angles = torch.arange(LONGEST)[:, None] * frequencies
    norm, table = packed["norm"], packed["table"]
    assert isinstance(norm, torch.Tensor) and isinstance(table, PackedMatrix)
    d.embed(x, table)
    for layer in range(layers):
        qkv, out, router = (packed[f"{layer}.{name}"] for name in ("qkv", "out", "router"))
        experts = packed[f"{layer}.experts"]
        assert isinstance(qkv, PackedMatrix) and isinstance(out, PackedMatrix)
        assert isinstance(router, PackedMatrix) and isinstance(experts, PackedExperts)
        d.norm(x, y, norm, 1e-5)
        d.linear(y, both, qkv)
        for turned in (query, key):
            d.rope(turned, HEADS, angles.cos(), angles.sin(), interleaved=False)
        to = SlotView(heads.slot, 0, WIDTH)
        d.attend(AttentionViews(query, key, value, to), layer=layer, heads=HEADS, scale=WIDTH**-0.5)
        d.linear(heads, x, out, add=True)
        d.norm(x, y, norm, 1e-5)
        d.linear(y, logits, router)
        d.keep(logits, EXPERTS)
        d.route(logits, Router(EXPERTS, TOP_K))
        d.mix(y, x, experts, TOP_K)
    d.norm(x, y, norm, 1e-5)
    d.pick(y, last)
    d.linear(last, OUTPUT, table)
    return Mixture(d, range(layers), EXPERTS, TOP_K, text(LONGEST, seed=1))
