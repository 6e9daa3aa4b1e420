"""A mixture whose experts are widened computes what it did, and its file can be limited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_network import Shape, new_model
from residency import step
from residency_model import PROMPT, Mixture
from residency_trained import WEIGHTS, planned, save, widen

from expertrag_kernels import PackedExperts, load_packed

_SHAPE = Shape(layers=3, experts=8, top_k=2, words=300)  # inner: 48, which no block divides
_TOKENS = 12


def _written(folder: Path, inner: int | None) -> Path:
    model: Any = new_model(_SHAPE, 0, seed=4).bfloat16().eval()
    if inner:
        widen(model, inner)
    text = torch.randint(300, (PROMPT + _TOKENS,), generator=torch.Generator().manual_seed(1))
    folder.mkdir()
    save(model, text.tolist(), folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    scratch = tmp_path_factory.mktemp("mixtures")
    return _written(scratch / "narrow", None), _written(scratch / "wide", 512)


def _steps(mixture: Mixture) -> list[Any]:
    starts = range(PROMPT, PROMPT + _TOKENS)
    return [step(mixture, 0, PROMPT, 2), *(step(mixture, t, t + 1, 2) for t in starts)]


def test_widened_experts_are_larger_and_change_neither_routing_nor_tokens(
    folders: tuple[Path, Path],
) -> None:
    narrow, wide = (planned(folder, limited=False) for folder in folders)
    assert (wide.experts, wide.top_k, wide.layers) == (8, 2, 3)
    sizes = [
        [w.data.nbytes for w in load_packed(folder / WEIGHTS).values() if _is_mixture(w)]
        for folder in folders
    ]
    assert all(large > 7 * small for small, large in zip(*sizes, strict=True))
    assert _steps(narrow) == _steps(wide)
    experts = {use for _, layers in _steps(wide) for used in layers for use in used}
    assert len(experts) > 8, "the text uses several experts of each layer"


def test_limited_experts_change_neither_routing_nor_tokens(folders: tuple[Path, Path]) -> None:
    wanted = _steps(planned(folders[1], limited=False))
    limited = planned(folders[1], limited=True)
    limited.decoder.limit_experts(2 * limited.decoder.least_experts_bytes)
    assert _steps(limited) == wanted
    reads = limited.decoder.expert_reads
    assert reads is not None and reads.misses > 0


def _is_mixture(weights: object) -> bool:
    return isinstance(weights, PackedExperts) and weights.num_experts > 1
