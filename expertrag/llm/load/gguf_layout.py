"""How a GGUF file lays a model out: names, turned heads, our own keys; for reading and writing."""

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
    """Names of a model's parameters, by those in the file.

    :raises NotStreamed: there is no table of names for the architecture.
    """
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in numbers:
        raise NotStreamed(f"no names are known of the architecture {architecture}")
    table = gguf.get_tensor_name_map(numbers[architecture], layers)
    found = {}
    for whole, _ in model.named_parameters(remove_duplicate=False):
        # one, but for experts, which are apart in the file
        for part in ("gate", "up"):
            name = whole.replace(".gate_up_proj", f".{part}_proj")
            stem, _, end = name.rpartition(".")
            if end not in ("weight", "bias"):
                stem, end = name, "weight"
            found[f"{table.get_name(stem)}.{end}"] = name
    return found


def turned_heads(architecture: str, name: str, config: Any) -> int:
    """Count the heads whose halves a tensor of the file has interleaved; 0 for most tensors.

    llama.cpp rotates neighbours in files of Llama's kind, and has brought them together for that.
    """
    if architecture != "llama":
        return 0
    heads: int = config.num_attention_heads
    return {"attn_q": heads, "attn_k": config.num_key_value_heads or heads}.get(
        name.split(".")[-2], 0
    )


def interleave(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Bring the halves of each head's outputs together, as a file has them."""
    turned: torch.Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return turned


def part(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Part the halves again, as transformers has them."""
    parted: torch.Tensor = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
    return parted
