"""Upcycling is lossless: the mixture gives the dense model's logits and tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from short_tokenizer import write_short_tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from expertrag.api.errors import Conflict, InvalidArgument, ServerError
from expertrag.llm.convert.upcycle import upcycle

_TOLERANCE = 2e-4  # fp32: the grouped and the dense product add up in another order
WORDS = 4096
_SHAPE: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}


def _dense(folder: Path, tokenizer_from: Path, kind: str = "llama", **change: Any) -> Path:
    """Save with weights that bfloat16 can hold, so that only upcycling is measured."""
    torch.manual_seed(0)
    from_config: Any = AutoModelForCausalLM.from_config  # without annotations
    model = from_config(AutoConfig.for_model(kind, **{**_SHAPE, **change}))
    with torch.no_grad():
        for parameter in model.parameters():
            # Wider than the default 0.02: logits that matter make the comparison sharp.
            parameter.copy_((parameter * 8).bfloat16())
    model.save_pretrained(folder)
    return write_short_tokenizer(tokenizer_from, folder, WORDS)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="untied"),
        pytest.param({"tie_word_embeddings": True}, id="tied"),
        pytest.param({"head_dim": 20}, id="head_dim other than hidden/heads"),
        pytest.param(
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1234.0}}, id="rope theta"
        ),
        pytest.param({"rms_norm_eps": 1e-3}, id="norm epsilon"),
        pytest.param({"kind": "mistral", "sliding_window": 4}, id="sliding window"),
    ],
)
def test_a_model_is_upcycled_without_loss(
    change: dict[str, Any], smollm_path: Path, tmp_path: Path
) -> None:
    base = _dense(tmp_path / "dense", smollm_path, **change)
    upcycle(base, tmp_path / "moe", num_experts=3, experts_per_token=2)
    _assert_same(base, tmp_path / "moe")


def _assert_same(dense_folder: Path, moe_folder: Path) -> None:
    dense = AutoModelForCausalLM.from_pretrained(dense_folder, dtype=torch.float32)
    moe = AutoModelForCausalLM.from_pretrained(moe_folder, dtype=torch.float32)
    assert moe.config.model_type == "mixtral"
    ids = torch.randint(20, WORDS, (2, 24), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert (dense(ids).logits - moe(ids).logits).abs().max() <= _TOLERANCE
        greedy = {"max_new_tokens": 12, "do_sample": False}
        mask = torch.ones_like(ids)
        expected = dense.generate(ids, attention_mask=mask, **greedy)
        assert torch.equal(expected, moe.generate(ids, attention_mask=mask, **greedy))


def test_default_model_is_its_dense_expert(smollm_path: Path) -> None:
    """Whichever experts its router picks, the model equals one dense Llama."""
    moe = AutoModelForCausalLM.from_pretrained(smollm_path, dtype=torch.float32)
    shared = {**_SHAPE, **{key: getattr(moe.config, key) for key in _SHAPE}}
    config = LlamaConfig(
        **shared,
        head_dim=moe.config.head_dim,
        rms_norm_eps=moe.config.rms_norm_eps,
        rope_parameters=moe.config.rope_parameters,
        tie_word_embeddings=True,
    )
    state = {k: v for k, v in moe.state_dict().items() if ".mlp." not in k}
    for layer in range(config.num_hidden_layers):
        experts = moe.model.layers[layer].mlp.experts
        gate, up = experts.gate_up_proj[1].chunk(2)
        mlp = f"model.layers.{layer}.mlp."
        state[f"{mlp}gate_proj.weight"], state[f"{mlp}up_proj.weight"] = gate, up
        state[f"{mlp}down_proj.weight"] = experts.down_proj[2]
    dense = LlamaForCausalLM(config)
    dense.load_state_dict(state)
    tokenizer = AutoTokenizer.from_pretrained(smollm_path)
    ids = tokenizer("The capital of France is Paris.", return_tensors="pt").input_ids
    with torch.inference_mode():
        assert (dense(ids).logits - moe(ids).logits).abs().max() <= _TOLERANCE


def test_default_model_speaks_chat(smollm_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm_path)
    text = tokenizer.apply_chat_template(
        [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.eos_token == "<|im_end|>" and tokenizer.eos_token_id == 2
    assert tokenizer("<|im_start|>").input_ids == [1]
    # SmolLM splits digits before the byte-level step; the GGUF conversion alone gives "Ġ", "Ġ1".
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]
    assert "apache-2.0" in (smollm_path / "README.md").read_text(encoding="utf-8")


def test_the_router_is_random(smollm_path: Path, tmp_path: Path) -> None:
    base = _dense(tmp_path / "dense", smollm_path)
    upcycle(base, tmp_path / "moe", num_experts=5)
    moe = AutoModelForCausalLM.from_pretrained(tmp_path / "moe", dtype=torch.float32)
    weight = moe.model.layers[0].mlp.gate.weight
    assert weight.shape == (5, 48)
    assert 0.01 < weight.std() < 0.04


@pytest.mark.parametrize("experts_per_token", [0, 5])
def test_experts_per_token_is_checked(experts_per_token: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="experts_per_token"):
        upcycle("any", tmp_path / "moe", num_experts=4, experts_per_token=experts_per_token)


def test_existing_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "moe").mkdir()
    with pytest.raises(Conflict, match="delete it"):
        upcycle("any", tmp_path / "moe")


def test_damaged_base_leaves_nothing_behind(smollm_path: Path, tmp_path: Path) -> None:
    base = _dense(tmp_path / "dense", smollm_path)
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ServerError, match="damaged"):
        upcycle(base, tmp_path / "moe")
    assert [path.name for path in tmp_path.iterdir()] == ["dense"]


def test_other_architectures_are_rejected(smollm_path: Path, tmp_path: Path) -> None:
    base = _dense(tmp_path / "dense", smollm_path)
    change_json(base / "config.json", attention_bias=True)
    with pytest.raises(InvalidArgument, match="without biases"):
        upcycle(base, tmp_path / "moe")
