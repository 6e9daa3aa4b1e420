"""Low-rank experts against plain references, and on our engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from made_mixtures import SIZES, engine_logits, layers_of, logits, mixture_of, profile_of, texts
from model_fixtures import logits_of, lowered

from expertrag.api.errors import InvalidArgument
from expertrag.llm.load.low_rank_file import LOW_RANK_FILE, attach_low_rank
from expertrag_kernels import Format
from expertrag_lab.surgery.changes.compress_low_rank import compress
from expertrag_lab.surgery.changes.low_rank_fit import LayerMoments, fit, observe
from expertrag_lab.surgery.changes.prune import prune
from expertrag_lab.surgery.changes.record import MixtureSize
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import Method

_FAMILIES = ("mixtral", "olmoe", "qwen2_moe with null experts", "deepseek_v3", "granitemoeshared")


def _compressed(mixture: Mixture, size: float = 0.6) -> Mixture:
    return compress(mixture, texts(4), source="0123456789abcdef", size=size, domains=["any"])


def _moments(mixture: Mixture) -> list[LayerMoments]:
    return observe(mixture, texts(4))


def _assert_same(own: LayerMoments, gate_up: torch.Tensor, down: torch.Tensor) -> None:
    """Assert that weights are those of the layer."""
    gate, up, columns = own.all_neurons()
    torch.testing.assert_close(gate_up, torch.cat([gate, up], 1), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(down, columns.mT, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("family", ["mixtral", "olmoe", "deepseek_v3"])
def test_moments_are_sums_over_tokens(family: str) -> None:
    mixture = mixture_of(family, **SIZES[family])
    [first, *_] = _moments(mixture)
    layer = layers_of(mixture)[0]
    seen: list[tuple[torch.Tensor, ...]] = []
    with layer.experts.register_forward_pre_hook(lambda _module, given: seen.append(given)):
        for text in texts(4):
            mixture.model.model(input_ids=torch.tensor([text]), use_cache=False)
    inputs = torch.zeros_like(first.inputs)
    inner = torch.zeros_like(first.inner)
    for rows, index, weights in seen:
        for row, chosen, shares in zip(rows.double(), index, weights.double(), strict=True):
            inputs += row.outer(row)
            for expert, share in zip(chosen.tolist(), shares, strict=True):
                gate, up = (layer.experts.gate_up_proj[expert].double() @ row).chunk(2)
                inner[expert] += (share * torch.nn.functional.silu(gate) * up).square()
    torch.testing.assert_close(first.inputs, inputs, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(first.inner, inner, atol=1e-9, rtol=1e-4)


def test_bases_are_those_of_the_weighted_decompositions() -> None:
    """What is lost is what the singular values of the whitened, weighted matrices say."""
    [own, *_] = _moments(mixture_of("olmoe", **SIZES["olmoe"]))
    rank, hidden = 5, len(own.inputs)
    made = fit(own, rank, 0)
    values, vectors = torch.linalg.eigh(own.inputs)
    root = vectors @ values.clamp(min=0).sqrt().diag() @ vectors.T
    gate, up, columns = own.all_neurons()
    share = (own.inner * columns.double().square().sum(-1)).flatten()
    rows = torch.cat([gate.flatten(0, 1), up.flatten(0, 1)]).double()
    energy = (rows @ root).square().sum(-1)
    scale = (torch.cat([share, share]) / energy).sqrt()[:, None]
    lost = torch.linalg.svdvals(scale * (rows @ root))[rank:].square().sum()
    gate_up, down = made.multiply_out()
    found = gate_up.unflatten(1, (2, -1)).transpose(0, 1).flatten(0, 2).double()
    rest = (scale * ((rows - found) @ root)).square().sum()
    assert float(rest) == pytest.approx(float(lost), rel=1e-3)
    scale, columns = own.inner.sqrt().flatten()[:, None], columns.flatten(0, 1).double()
    lost = torch.linalg.svdvals(scale * columns)[rank:].square().sum()
    rest = (scale * (down.mT.flatten(0, 1).double() - columns)).square().sum()
    assert float(rest) == pytest.approx(float(lost), rel=1e-3)
    assert made.read.shape == (rank, hidden)


@pytest.mark.parametrize("family", _FAMILIES)
def test_all_ranks_lose_nothing(family: str) -> None:
    mixture = mixture_of(family, **SIZES[family])
    for own in _moments(mixture):
        gate_up, down = fit(own, len(own.inputs), 0).multiply_out()
        _assert_same(own, gate_up, down)


def test_planted_low_ranks_are_found() -> None:
    mixture = mixture_of("mixtral", **SIZES["mixtral"])
    generator = torch.Generator().manual_seed(0)
    for layer in layers_of(mixture):
        experts = layer.experts
        hidden = experts.down_proj.shape[1]
        into, out = torch.randn(2, 4, hidden, generator=generator)
        experts.gate_up_proj.data = experts.gate_up_proj.data @ into.T @ into / hidden
        experts.down_proj.data = out.T @ (out @ experts.down_proj.data) / hidden
    before = logits(mixture)
    for own in _moments(mixture):
        gate_up, down = fit(own, 4, 0).multiply_out()
        _assert_same(own, gate_up, down)
    torch.testing.assert_close(logits(_compressed(mixture, 0.7)), before, atol=1e-4, rtol=1e-3)


def test_planted_neurons_stay_whole() -> None:
    """The neurons that a low rank cannot describe are those that stay, bit for bit."""
    mixture = mixture_of("mixtral", **SIZES["mixtral"])
    generator = torch.Generator().manual_seed(0)
    wild = [1, 3]
    for layer in layers_of(mixture):
        experts = layer.experts
        hidden, inner = experts.down_proj.shape[1:]
        into, out = torch.randn(2, 2, hidden, generator=generator)
        tame = [place for place in range(inner) if place not in wild]
        rows = [*tame, *(inner + place for place in tame)]
        gate_up, down = experts.gate_up_proj.data, experts.down_proj.data
        gate_up[:, rows] = gate_up[:, rows] @ into.T @ into / hidden
        down[..., tame] = out.T @ (out @ down[..., tame]) / hidden
    for own in _moments(mixture):
        made = fit(own, 2, len(wild))
        assert made.whole_neurons == len(wild)
        gate, up, down = own.all_neurons()
        assert torch.equal(made.whole_down, down[:, wild].mT)
        kept = torch.cat([gate[:, wild], up[:, wild]], dim=1)
        assert torch.equal(made.whole_gate_up, kept)


@pytest.mark.parametrize("family", _FAMILIES)
@pytest.mark.parametrize("size", [0.8, 0.5])
def test_our_engine_multiplies_the_factors(family: str, size: float, tmp_path: Path) -> None:
    mixture = mixture_of(family, **SIZES[family])
    made = _compressed(mixture, size)
    experts = sum(
        layer.experts.gate_up_proj.numel() + layer.experts.down_proj.numel()
        for layer in layers_of(mixture)
    )
    factors = sum(part.numel() for own in made.low_rank.values() for part in own.tensors)
    assert factors <= size * experts
    before, after = MixtureSize.of(mixture), MixtureSize.of(made)
    assert before.parameters - after.parameters == experts - factors
    made.save(tmp_path, "")
    assert (tmp_path / LOW_RANK_FILE).is_file()
    narrow = lowered(made.model, Format.F32)
    assert any("low_rank" in name for name in narrow.weights)
    torch.testing.assert_close(logits_of(narrow), logits(made), atol=2e-4, rtol=1e-3)
    loaded = type(made.model).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(engine_logits(loaded), logits(made), atol=2e-4, rtol=1e-3)
    attach_low_rank(loaded, tmp_path)
    assert torch.equal(engine_logits(loaded), logits_of(narrow))


@pytest.mark.parametrize("size", [0.0, 1.0, -1.0, 1e-4, float("nan")])
def test_sizes_that_are_not_possible(size: float) -> None:
    with pytest.raises(InvalidArgument, match="size"):
        _compressed(mixture_of("olmoe", **SIZES["olmoe"]), size)


def test_mixtures_that_cannot_be_compressed() -> None:
    with pytest.raises(InvalidArgument, match="biases"):
        _compressed(mixture_of("gpt_oss", **SIZES["gpt_oss"]))
    with pytest.raises(InvalidArgument, match="one expert for each"):
        _compressed(mixture_of("mixtral", expert_names=["shared", "law", "base"]))
    with pytest.raises(InvalidArgument, match="no prompt"):
        compress(mixture_of("olmoe", **SIZES["olmoe"]), [], source="", size=0.5)
    made = _compressed(mixture_of("olmoe", **SIZES["olmoe"]))
    with pytest.raises(InvalidArgument, match="has low-rank experts"):
        prune(made, profile_of(made), keep=0.5, method=Method.REAP)


def test_a_file_that_is_missing_or_of_another_model_is_refused(tmp_path: Path) -> None:
    made = _compressed(mixture_of("olmoe", **SIZES["olmoe"]))
    with pytest.raises(ValueError, match="is missing"):
        attach_low_rank(made.model, tmp_path)
    attach_low_rank(made.model, tmp_path, packed=True)  # its factors are in another file
    made.save(tmp_path, "")
    other: Any = mixture_of("olmoe", num_experts=4).model
    with pytest.raises(ValueError, match="does not fit layer 0"):
        attach_low_rank(other, tmp_path)
    (tmp_path / LOW_RANK_FILE).write_bytes(b"torn")
    with pytest.raises(ValueError, match="cannot be read"):
        attach_low_rank(other, tmp_path)
