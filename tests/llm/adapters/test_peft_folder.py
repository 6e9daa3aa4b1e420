"""Folders of adapters that are damaged, or have something that is not served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lora_folders import write_lora
from model_families import model_of

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.llm.adapters.lora import Projection
from expertrag.llm.adapters.peft_folder import read_peft

_LAYER = "base_model.model.model.layers.0."


@pytest.fixture(scope="module")
def model() -> Any:
    return model_of("llama")


def test_projections_by_layer_and_name(model: Any, tmp_path: Path) -> None:
    read = read_peft(write_lora(tmp_path, model, ("q_proj", "down_proj"), rank=3, lora_alpha=6))
    assert set(read.weights) == {
        Projection(layer, module)
        for layer in range(3)
        for module in ("self_attn.q_proj", "mlp.down_proj")
    }
    down, up = read.weights[Projection(2, "mlp.down_proj")]
    assert (down.shape, up.shape) == ((3, 48), (32, 3))
    other = read_peft(write_lora(tmp_path, model, ("q_proj", "down_proj"), rank=3, lora_alpha=12))
    torch.testing.assert_close(other.weights[Projection(2, "mlp.down_proj")].up, 2 * up)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "the type IA3, not LORA"),
        ({"use_dora": True}, r"DoRA"),
        ({"bias": "lora_only"}, r"biases \(lora_only\)"),
        ({"lora_bias": True}, "lora_bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"target_parameters": ["mlp.experts.down_proj"]}, "target_parameters"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "layer_replication"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa_niter_4"}, r"changes its base \(pissa_niter_4\)"),
    ],
)
def test_settings_that_are_not_served(
    model: Any, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = write_lora(tmp_path, model, **config)
    with pytest.raises(InvalidArgument, match=f"{message}.*; served are attention projections"):
        read_peft(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{_LAYER}self_attn.q_proj.lora_magnitude_vector", "DoRA"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "updates of embeddings"),
        ("base_model.model.lm_head.lora_A.weight", "updates of the output head"),
        (f"{_LAYER}mlp.experts.3.up_proj.lora_A.weight", "a mixture's experts"),
        (f"{_LAYER}self_attn.q_proj.lora_B.bias", "biases"),
        ("something", r"a weight of another kind \(something\)"),
    ],
)
def test_weights_that_are_not_served(model: Any, name: str, message: str, tmp_path: Path) -> None:
    folder = write_lora(tmp_path, model, weights={name: torch.ones(2, 2)})
    with pytest.raises(InvalidArgument, match=message):
        read_peft(folder)


def test_missing_files(model: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"has no adapter_config\.json"):
        read_peft(tmp_path / "nowhere")
    folder = write_lora(tmp_path, model)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(NotFound, match="save the adapter with safe_serialization=True"):
        read_peft(folder)


def test_damaged_files(model: Any, tmp_path: Path) -> None:
    folder = write_lora(tmp_path, model)
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    whole, body = weights.read_bytes(), config.read_text(encoding="utf-8")
    weights.write_bytes(whole[:-8])
    with pytest.raises(InvalidArgument, match=r"adapter_model\.safetensors is damaged"):
        read_peft(folder)
    weights.write_bytes(whole)
    for text, message in (
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        (body.replace('"r": 4', '"r": 5'), r"should have A \(5, I\) and B \(O, 5\)"),
        (body.replace('"r": 4', '"r": 0'), "r, lora_alpha or their patterns"),
        (body.replace('"r": 4', '"q": 4'), "r, lora_alpha or their patterns"),
    ):
        config.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidArgument, match=message):
            read_peft(folder)


def test_a_matrix_without_the_other(model: Any, tmp_path: Path) -> None:
    alone = {f"{_LAYER}self_attn.k_proj.lora_A.weight": torch.ones(4, 32)}
    with pytest.raises(InvalidArgument, match=r"layers\.0\.self_attn\.k_proj should have A"):
        read_peft(write_lora(tmp_path, model, ("q_proj",), weights=alone))


def test_weights_that_are_not_finite(model: Any, tmp_path: Path) -> None:
    broken = {f"{_LAYER}self_attn.q_proj.lora_A.weight": torch.full((4, 32), torch.nan)}
    with pytest.raises(InvalidArgument, match="are not finite"):
        read_peft(write_lora(tmp_path, model, weights=broken))


def test_an_adapter_without_weights(model: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="has no weights"):
        read_peft(write_lora(tmp_path, model, ()))
