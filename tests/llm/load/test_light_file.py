"""Mixtures with light experts: in transformers, on our engine, packed, and in other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from light_samples import FAMILIES, NEURONS, light_of, vectors_of, whole_of
from made_mixtures import IDS, engine_logits, layers_of, logits
from model_fixtures import lowered
from profile_samples import write_tiny_mixture
from safetensors.torch import load_file, save_file
from torch.nn.functional import silu
from transformers import AutoModelForCausalLM

from expertrag.api.errors import ServerError
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.description import DESCRIPTION_FILE
from expertrag.llm.load.light_file import LIGHT_FILE
from expertrag.llm.load.packing import pack_folder
from expertrag.llm.network import Network
from expertrag_index.types import silent
from expertrag_kernels import Format, Routing
from expertrag_kernels.steps import SequenceRows
from expertrag_lab.surgery.changes.record import write_changed
from expertrag_lab.surgery.mixture import Mixture, load_mixture


@pytest.mark.parametrize("family", FAMILIES)
def test_our_engine_gives_the_logits_of_transformers(family: str) -> None:
    whole = whole_of(family)
    mixture = light_of(whole)
    found = logits(mixture)
    torch.testing.assert_close(engine_logits(mixture.model), found, atol=1e-3, rtol=1e-3)
    assert (found - logits(whole)).abs().max() > 0.01


@pytest.mark.parametrize("family", ["olmoe", "gpt_oss", "deepseek_v3", "phimoe"])
def test_a_layer_follows_the_equations(family: str) -> None:
    mixture, whole = light_of(whole_of(family)), whole_of(family)
    rows = torch.randn(9, mixture.model.config.hidden_size)
    for layer, before, own in zip(
        layers_of(mixture), layers_of(whole), vectors_of(mixture), strict=True
    ):
        with torch.inference_mode():
            _, weights, index = before.router(rows)
            found = layer.experts(rows, index, weights)
            for place, x in enumerate(rows):
                order = weights[place].argsort(descending=True).tolist()
                main, light = order[: len(order) // 2], order[len(order) // 2 :]
                scale, added = torch.ones_like(x), torch.zeros_like(x)
                for k in light:
                    s, b, d = own[index[place, k]][:3]
                    gate, up, down = own[index[place, k]][3:].chunk(3)
                    scale = scale + weights[place, k] * s
                    neurons = (silu(gate @ x) * (up @ x)) @ down
                    added = added + weights[place, k] * (b + d * x + neurons)
                for k in main:
                    alone = index[place, k].view(1, 1), torch.ones(1, 1)
                    one = before.experts((x * scale)[None], *alone)
                    added = added + weights[place, k] * one[0]
                torch.testing.assert_close(found[place], added, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("family", ["olmoe", "deepseek_v2 in groups"])
def test_vectors_of_zero_drop_the_experts_to_the_bit(family: str) -> None:
    whole = whole_of(family)
    main = whole.top_k - whole.top_k // 2
    decoder, places = lowered(whole.model, Format.F32).decoder, torch.arange(len(IDS))
    rows = [SequenceRows(0, len(IDS), torch.arange(1), routing=Routing(top_k=main))]
    dropped = decoder.run(IDS, places, rows, places)[0]
    assert torch.equal(engine_logits(light_of(whole, 0.0).model), dropped)
    assert not torch.equal(engine_logits(whole.model), dropped)


def _written(family: str, folder: Path) -> tuple[Mixture, Mixture, Path]:
    whole = whole_of(family)
    mixture = light_of(whole)
    write_changed(mixture, whole, folder)
    return whole, mixture, folder


def test_transformers_runs_the_whole_model(tmp_path: Path) -> None:
    whole, _, folder = _written("olmoe", tmp_path / "light")
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert loaded.config.num_experts_per_tok == 4 and loaded.config.num_light_experts_per_tok == 2
    loaded.set_experts_implementation("eager")
    with torch.inference_mode():
        found = loaded(input_ids=IDS[None]).logits[0]
    torch.testing.assert_close(found, logits(whole), atol=1e-4, rtol=1e-4)


def _served(folder: Path, dtype: str = "float32", **options: Any) -> tuple[torch.Tensor, Network]:
    network = TransformersGenerator.load(str(folder), dtype=dtype, **options)._network
    cache = network.new_cache()
    found = network.forward(IDS.tolist(), cache).logits
    network.free(cache)
    assert isinstance(network, NativeNetwork) == options.get("native", True)
    return found, network


@pytest.mark.parametrize("family", ["qwen2_moe with null experts", "granitemoeshared"])
def test_a_folder_is_served_by_our_engine_by_transformers_and_packed(
    family: str, tmp_path: Path
) -> None:
    whole, mixture, folder = _written(family, tmp_path / "light")
    wanted = logits(mixture)[-1]
    found, network = _served(folder)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(_served(folder, native=False)[0], wanted, atol=1e-3, rtol=1e-3)
    pack_folder(str(folder), "float32", tmp_path / "packed", silent)
    (tmp_path / "packed" / DESCRIPTION_FILE).unlink(missing_ok=True)
    packed, again = _served(tmp_path / "packed")
    assert torch.equal(packed, found)
    use, before = network.weights(), _served_whole(whole, tmp_path / "whole").weights()
    hidden, layers = mixture.model.config.hidden_size, len(mixture.layers)
    assert use is not None and before is not None
    assert use == again.weights()
    assert (use.top_k, use.light_per_token) == (2, 2)
    assert use.light.parameters == (3 + 3 * NEURONS) * hidden * layers
    assert use.active().parameters - before.active().parameters == (
        2 * use.light.parameters - 2 * use.expert.parameters
    )
    assert use.total.parameters - before.total.parameters == use.experts * use.light.parameters


def _served_whole(whole: Mixture, folder: Path) -> Network:
    folder.mkdir()
    whole.save(folder, "")
    return _served(folder)[1]


def test_a_described_packed_folder_gives_the_same_logits(tiny_light: Path, tmp_path: Path) -> None:
    pack_folder(str(tiny_light), "bfloat16", tmp_path / "packed", silent)
    assert (tmp_path / "packed" / DESCRIPTION_FILE).is_file()
    found, packed = (_served(folder, "bfloat16")[0] for folder in (tiny_light, tmp_path / "packed"))
    assert torch.equal(found, packed)


@pytest.fixture
def tiny_light(smollm_path: Path, tmp_path: Path) -> Path:
    """A tiny mixture with light experts and a real tokenizer."""
    whole = load_mixture(str(write_tiny_mixture(tmp_path / "tiny", smollm_path)))
    write_changed(light_of(whole, count=1), whole, tmp_path / "tiny-light")
    return tmp_path / "tiny-light"


def test_damaged_vectors_are_one_typed_line(tmp_path: Path) -> None:
    _, mixture, folder = _written("olmoe", tmp_path / "light")
    path = folder / LIGHT_FILE
    vectors = load_file(path)
    assert set(vectors) == {f"layers.{layer.number}" for layer in mixture.layers}
    first = next(iter(vectors))
    save_file({**vectors, first: vectors[first][:, :, 1:].contiguous()}, path)
    with pytest.raises(ServerError, match="has no vectors"):
        load_mixture(str(folder))
    path.unlink()
    with pytest.raises(ServerError, match=f"{LIGHT_FILE} is missing"):
        TransformersGenerator.load(str(folder), dtype="float32")


def test_one_expert_of_a_token_computes(tmp_path: Path) -> None:
    _, _, folder = _written("olmoe", tmp_path / "light")
    change_json(folder / "config.json", num_light_experts_per_tok=4)
    with pytest.raises(ServerError, match="all of 4 experts per token are light"):
        load_mixture(str(folder))
