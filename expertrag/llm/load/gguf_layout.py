"""The layout of a model in a GGUF file, for reading and writing: names, rotated heads, our keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gguf
import torch
from torch import nn

from expertrag.llm.load.checkpoint import NotStreamed

OWN_KEYS = {  # by their names in ``config.json``
    "expert_names": "expertrag.expert_names",
    "reader_prompts": "expertrag.reader_prompts",
}


def parameter_names(architecture: str, layers: int, model: nn.Module) -> Mapping[str, str]:
    """Map the tensor names of a file to the names of a model's parameters.

    :raises NotStreamed: the tensor names of the architecture are unknown.
    """
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in numbers:
        raise NotStreamed(f"the tensor names of the architecture {architecture} are unknown")
    table = gguf.get_tensor_name_map(numbers[architecture], layers)
    result = {}
    for whole, _ in model.named_parameters(remove_duplicate=False):
        # the same name twice, except for experts, whose gate and up are separate in the file
        for part in ("gate", "up"):
            name = whole.replace(".gate_up_proj", f".{part}_proj")
            stem, _, end = name.rpartition(".")
            if end not in ("weight", "bias"):
                stem, end = name, "weight"
            result[f"{table.get_name(stem)}.{end}"] = name
    return result


def count_turned_heads(architecture: str, name: str, config: Any) -> int:
    """Count the heads whose halves are interleaved in a tensor of the file; 0 for most tensors.

    In files of Llama's kind, llama.cpp rotates neighbouring values, so it stores them interleaved.
    """
    if architecture != "llama":
        return 0
    heads: int = config.num_attention_heads
    return {"attn_q": heads, "attn_k": config.num_key_value_heads or heads}.get(
        name.split(".")[-2], 0
    )


def interleave(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Interleave the halves of each head's outputs, as in a file."""
    turned: torch.Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return turned


def part(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Separate the halves again, as in transformers."""
    parted: torch.Tensor = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
    return parted
