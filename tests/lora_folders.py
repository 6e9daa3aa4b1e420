"""Random adapters in peft's layout, and models that they are merged into."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
EVERY = (*ATTENTION, "gate_proj", "up_proj", "down_proj")

Weights = dict[str, torch.Tensor]


def write_lora(
    folder: Path,
    model: Any,
    modules: Sequence[str] = EVERY,
    *,
    rank: int = 4,
    seed: int = 0,
    strength: float = 0.3,
    dtype: torch.dtype = torch.float32,
    weights: Mapping[str, torch.Tensor] | None = None,
    **config: Any,
) -> Path:
    """Write a random adapter of linear layers of these names; returns its folder.

    :param weights: more weights, by name.
    :param config: values of the configuration, which ``rank_pattern`` may change the ranks by.
    """
    draw = torch.Generator().manual_seed(seed)
    made: Weights = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] not in modules or not isinstance(module, torch.nn.Linear):
            continue
        own = _of_pattern(config.get("rank_pattern", {}), name, rank)
        down = torch.randn(own, module.in_features, generator=draw) * module.in_features**-0.5
        up = torch.randn(module.out_features, own, generator=draw) * strength
        made[f"base_model.model.{name}.lora_A.weight"] = down.to(dtype)
        made[f"base_model.model.{name}.lora_B.weight"] = up.to(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({**made, **(weights or {})}, folder / "adapter_model.safetensors")
    body = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(modules),
        "bias": "none",
        "base_model_name_or_path": "some/base",
        **config,
    }
    (folder / "adapter_config.json").write_text(json.dumps(body), encoding="utf-8")
    return folder


def merged(model: Any, folder: Path) -> Any:
    """Return a copy of a model with an adapter merged into its weights."""
    from safetensors.torch import load_file

    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "adapter_model.safetensors")
    result = copy.deepcopy(model)
    with torch.no_grad():
        for name, down in weights.items():
            found = re.fullmatch(r"base_model\.model\.(.+)\.lora_A\.weight", name)
            if not found:
                continue
            path = found.group(1)
            rank = down.shape[0]
            alpha = _of_pattern(config.get("alpha_pattern", {}), path, config["lora_alpha"])
            scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
            up = weights[name.replace("lora_A", "lora_B")]
            result.get_submodule(path).weight += scale * up.float() @ down.float()
    return result


def _of_pattern(patterns: Mapping[str, Any], path: str, otherwise: Any) -> Any:
    found = [value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", path)]
    return found[0] if found else otherwise


def write_base(folder: Path, tokenizer: Path, kind: str = "qwen2") -> Any:
    """Save a tiny random model with the tokenizer of another; returns the model."""
    from model_families import model_of
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(tokenizer)
    model = model_of(
        kind,
        vocab_size=len(words),
        num_hidden_layers=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return model
