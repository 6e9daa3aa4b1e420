"""Packed linear layers compute what torch's compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from expertrag_retriever import packed_linear
from expertrag_retriever.encoder import load_embedder, number_format
from expertrag_retriever.packed_linear import PackedLinear, can_pack, pack_linears

TEXTS = ["how long may tools be lent?", "notice", "tables of a vacuum " * 30]

needs_packing = pytest.mark.skipif(not can_pack(), reason="the processor has no bfloat16")


@needs_packing
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 64), (7, 64), (3, 20, 64), (0, 64)])
def test_results_are_equal_to_the_bit(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 96, bias=bias).to(torch.bfloat16)
    x = torch.randn(shape, dtype=torch.bfloat16)
    with torch.inference_mode():
        assert torch.equal(PackedLinear(layer)(x), layer(x))


@needs_packing
def test_linear_layers_in_bfloat16_are_replaced() -> None:
    inner = nn.Sequential(nn.Linear(8, 8).to(torch.bfloat16), nn.GELU(), nn.Linear(8, 8))
    module = nn.Sequential(inner, nn.LayerNorm(8))
    pack_linears(module)
    assert [type(each) for each in inner] == [PackedLinear, nn.GELU, nn.Linear]


def test_the_vectors_stay_the_same(minilm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = load_embedder(str(minilm_path))
    used = [type(each) for each in packed._model[0].modules() if isinstance(each, PackedLinear)]
    wanted = can_pack() and number_format("cpu") == torch.bfloat16
    assert bool(used) == wanted
    monkeypatch.setattr(packed_linear, "can_pack", lambda: False)
    plain = load_embedder(str(minilm_path))
    for texts in (TEXTS, TEXTS[:1]):
        assert np.array_equal(packed.encode_documents(texts), plain.encode_documents(texts))
    assert packed.fingerprint == plain.fingerprint
