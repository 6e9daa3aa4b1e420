"""Adapters next to a base on our engine, against transformers with merged weights."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_folders import ATTENTION, EVERY, merged, write_lora
from model_families import FAMILIES, model_of
from model_fixtures import lowered

from expertrag.api.errors import Conflict, InvalidArgument, NotFound
from expertrag.llm.adapters.loaded import LoadedAdapters
from expertrag.llm.engine.families import DENSE
from expertrag_kernels import Format
from expertrag_kernels.steps import SequenceRows
from expertrag_kernels.torch_decoder import TorchDecoder

_IN_TORCH = partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32)
_LATENT = ("q_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
_TOKENS = 80


def _ids() -> torch.Tensor:
    return torch.randint(3, 301, (_TOKENS,), generator=torch.Generator().manual_seed(1))


def _logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=_ids()[None]).logits[0]
    return found


def _run(decoder: Any, *adapters: Any) -> list[torch.Tensor]:
    """Logits of the same text with each adapter, in one batch."""
    texts = [
        SequenceRows(
            n * _TOKENS,
            (n + 1) * _TOKENS,
            torch.tensor([2 * n, 2 * n + 1]),
            adapters=(adapter,) if adapter else (),
        )
        for n, adapter in enumerate(adapters)
    ]
    count, rows = len(adapters), torch.arange(len(adapters) * _TOKENS)
    positions = torch.arange(_TOKENS).repeat(count)
    found, _ = decoder.run(_ids().repeat(count), positions, texts, rows)
    return list(found.split(_TOKENS))


def _modules(kind: str) -> tuple[str, ...]:
    if kind in ("deepseek_v2", "deepseek_v3"):
        return _LATENT
    return EVERY if kind in DENSE else ATTENTION


def _loaded(ours: Any) -> LoadedAdapters:
    return LoadedAdapters(ours.decoder, ours.weights)


@pytest.mark.parametrize("make", [{}, {"make": _IN_TORCH}], ids=["cpu", "torch"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_merged_weights(
    family: str, make: dict[str, Any], tmp_path: Path
) -> None:
    kind, change = FAMILIES[family]
    model = model_of(kind, **change)
    folders = [
        write_lora(tmp_path / "one", model, _modules(kind)),
        write_lora(tmp_path / "other", model, _modules(kind)[:2], rank=7, seed=1),
    ]
    ours = lowered(model, Format.F32, **make)
    adapters = _loaded(ours)
    for folder in folders:
        adapters.load(folder.name, folder)
    one, base, other = _run(
        ours.decoder, adapters.find("one").updates, None, adapters.find("other").updates
    )
    for found, wanted in (
        (one, merged(model, folders[0])),
        (base, model),
        (other, merged(model, folders[1])),
    ):
        errors = (found - _logits(wanted)).norm(dim=1) / _logits(wanted).norm(dim=1)
        assert errors.median() < 1e-4
    assert (one - base).norm() > 0.1 * base.norm()


@pytest.mark.parametrize("format", list(Format))
def test_each_is_the_same_alone_and_the_base_as_without(format: Format, tmp_path: Path) -> None:
    model = model_of("qwen2")
    ours = lowered(model, format)
    (none,) = _run(ours.decoder, None)
    adapters = _loaded(ours)
    adapters.load("a", write_lora(tmp_path / "a", model))
    adapters.load("b", write_lora(tmp_path / "b", model, ("k_proj", "up_proj"), rank=3, seed=2))
    a, b = (adapters.find(name).updates for name in "ab")
    together = _run(ours.decoder, a, None, b)
    assert torch.equal(together[1], none)
    assert torch.equal(together[0], _run(ours.decoder, a)[0])
    assert torch.equal(together[2], _run(ours.decoder, b)[0])
    assert not torch.equal(together[0], together[2])


@pytest.mark.parametrize(
    "config",
    [
        {"use_rslora": True},
        {"lora_alpha": 3},
        {"rank_pattern": {"q_proj": 2, r"layers\.1\..*": 9}, "alpha_pattern": {"o_proj": 40}},
        {"target_modules": "all-linear"},
    ],
)
def test_scales_are_those_of_peft(config: dict[str, Any], tmp_path: Path) -> None:
    model = model_of("llama")
    folder = write_lora(tmp_path / "some", model, **config)
    ours = lowered(model, Format.F32)
    adapters = _loaded(ours)
    adapters.load("some", folder)
    (found,) = _run(ours.decoder, adapters.find("some").updates)
    torch.testing.assert_close(found, _logits(merged(model, folder)), atol=1e-3, rtol=1e-3)


def test_dense_layers_of_a_mixture(tmp_path: Path) -> None:
    kind, change = FAMILIES["deepseek_v2 in groups"]
    model = model_of(kind, **change)
    dense = {
        f"base_model.model.model.layers.0.mlp.down_proj.lora_{matrix}.weight": torch.randn(*shape)
        for matrix, shape in (("A", (4, 48)), ("B", (32, 4)))
    }
    folder = write_lora(tmp_path / "dense", model, ("o_proj",), weights=dense)
    ours = lowered(model, Format.F32)
    adapters = _loaded(ours)
    adapters.load("dense", folder)
    (found,) = _run(ours.decoder, adapters.find("dense").updates)
    wanted = _logits(merged(model, folder))
    errors = (found - wanted).norm(dim=1) / wanted.norm(dim=1)
    assert errors.median() < 1e-4


def test_weights_of_half_precision(tmp_path: Path) -> None:
    model = model_of("llama")
    folder = write_lora(tmp_path / "half", model, dtype=torch.bfloat16)
    ours = lowered(model, Format.F32)
    adapters = _loaded(ours)
    info = adapters.load("half", folder)
    (found,) = _run(ours.decoder, adapters.find("half").updates)
    torch.testing.assert_close(found, _logits(merged(model, folder)), atol=1e-3, rtol=1e-3)
    assert (info.rank, info.base) == (4, "some/base")
    weights = sum(
        4 * (module.in_features + module.out_features)
        for name, module in model.named_modules()
        if name.endswith(EVERY)
    )
    assert 4 * weights <= info.size_bytes < 8 * weights  # with what pads the blocks of small layers


@pytest.fixture
def adapters() -> LoadedAdapters:
    return _loaded(lowered(model_of("llama"), Format.F32))


def test_names(adapters: LoadedAdapters, tmp_path: Path) -> None:
    folder = write_lora(tmp_path / "some", model_of("llama"), rank=2)
    with pytest.raises(InvalidArgument, match=r"there is no adapter 'legal'; loaded: none"):
        adapters.check("legal")
    infos = [adapters.load(name, folder) for name in ("z", "legal")]
    assert adapters.all() == tuple(reversed(infos))
    assert infos[0].digest == infos[1].digest
    with pytest.raises(Conflict, match="legal is loaded already"):
        adapters.load("legal", folder)
    with pytest.raises(InvalidArgument, match=r"no adapter 'x'; loaded: legal, z"):
        adapters.find("x")
    for name in ("", "a b", "../x", "-x", "x" * 65):
        with pytest.raises(InvalidArgument, match=r"name .* is invalid"):
            adapters.load(name, folder)
    with pytest.raises(NotFound, match="no adapter 'x'"):
        adapters.unload("x")


def test_other_weights_have_another_digest(adapters: LoadedAdapters, tmp_path: Path) -> None:
    model = model_of("llama")
    one, other, scaled = (
        adapters.load(name, write_lora(tmp_path / name, model, seed=seed, lora_alpha=alpha))
        for name, seed, alpha in (("one", 0, 8), ("other", 1, 8), ("scaled", 0, 9))
    )
    assert len({one.digest, other.digest, scaled.digest}) == 3


def test_running_requests_keep_an_unloaded_adapter(
    adapters: LoadedAdapters, tmp_path: Path
) -> None:
    folder = write_lora(tmp_path / "some", model_of("llama"))
    adapters.load("some", folder)
    with adapters.hold("some"):
        held = weakref.ref(adapters.find("some").updates)
        adapters.unload("some")
        assert adapters.all() == ()
        with pytest.raises(InvalidArgument, match="no adapter 'some'"):
            adapters.check("some")
        assert adapters.find("some").updates is held()
        with pytest.raises(Conflict, match="used by running requests still"):
            adapters.load("some", folder)
    gc.collect()
    assert held() is None, "its memory is free"
    with pytest.raises(InvalidArgument, match="no adapter 'some'"):
        adapters.find("some")
    adapters.load("some", folder)


def test_an_adapter_of_another_model(adapters: LoadedAdapters, tmp_path: Path) -> None:
    wide = write_lora(tmp_path / "wide", model_of("llama", hidden_size=40))
    with pytest.raises(InvalidArgument, match=r"another model: layers\.0\.mlp\.down_proj"):
        adapters.load("wide", wide)
    deep = write_lora(tmp_path / "deep", model_of("llama", num_hidden_layers=4))
    with pytest.raises(InvalidArgument, match=r"updates of layers\.3\.mlp\.down_proj"):
        adapters.load("deep", deep)
    mixture = _loaded(lowered(model_of("mixtral", num_local_experts=5), Format.F32))
    dense = write_lora(tmp_path / "dense", model_of("llama"), ("up_proj",))
    with pytest.raises(InvalidArgument, match=r"updates of layers\.0\.mlp\.up_proj"):
        mixture.load("dense", dense)
