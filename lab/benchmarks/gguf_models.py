"""A real model whose weights fit every type of GGUF files, and files of it, made by llama.cpp.

SmolLM2-135M comes rounded to 4 bits (Q4_1), in rows of 576 inputs, which K-quants, with blocks of
256, cannot hold. ``mixed`` makes a model of the same function: its channels are permuted, so that
the blocks of the first rounding are torn apart, and padded with zeros to multiples of 256.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

BLOCK = 256
TYPES = {
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_K": "Q5_K_M",
    "Q4_K": "Q4_K_M",
    "Q3_K": "Q3_K_M",
    "Q2_K": "Q2_K",
    "Q4_0": "Q4_0",
    "Q4_1": "Q4_1",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
    "Q5_0": "Q5_0",
    "Q5_1": "Q5_1",
    "IQ3_S": "IQ3_S",
}
"""Types of matrices, and llama.cpp's names of the files that are mostly of them."""


def mixed(model: Any) -> Any:
    """Return a Llama of the same function whose matrices have rows of multiples of 256 inputs.

    Heads of zeros are added to each group, and channels of zeros to hidden states, for which the
    norms are scaled: they divide by the mean over all channels.
    """
    old = model.config
    groups, width = old.num_key_value_heads, old.hidden_size // old.num_attention_heads
    per_group = old.num_attention_heads // groups
    while groups * per_group * width % BLOCK:
        per_group += 1
    hidden = -(-old.hidden_size // BLOCK) * BLOCK
    share = old.hidden_size / hidden
    changed = {
        "hidden_size": hidden,
        "num_attention_heads": groups * per_group,
        "head_dim": width,
        "rms_norm_eps": old.rms_norm_eps * share,
    }
    made: Any = LlamaForCausalLM(LlamaConfig(**{**old.to_dict(), **changed}))
    made = made.to(model.dtype).eval()
    draw = torch.Generator().manual_seed(0)
    channels = torch.randperm(old.hidden_size, generator=draw)
    weights = {}
    for name, weight in model.state_dict().items():
        if name.endswith(("down_proj.weight", "up_proj.weight", "gate_proj.weight")):
            layer = int(name.split(".")[2])
            order = torch.Generator().manual_seed(layer + 1)
            inner = torch.randperm(old.intermediate_size, generator=order)
            weight = weight[:, inner] if "down" in name else weight[inner]
        weights[name] = _widened(name, weight, channels, hidden, groups, per_group * width)
        if name.endswith("norm.weight"):
            weights[name] = weights[name] * share**0.5
    made.load_state_dict(weights)
    return made


def _widened(
    name: str, weight: torch.Tensor, channels: torch.Tensor, hidden: int, groups: int, queries: int
) -> torch.Tensor:
    """Permute and pad a weight.

    :param hidden: new width of hidden states.
    :param queries: new width of the queries of a group.
    """

    def padded(some: torch.Tensor, size: int) -> torch.Tensor:
        return torch.cat([some, some.new_zeros(size - len(some), *some.shape[1:])])

    def grouped(some: torch.Tensor) -> torch.Tensor:
        parts = some.view(groups, -1, *some.shape[1:])
        return torch.cat([padded(part, queries) for part in parts])

    if weight.ndim == 1:
        return padded(weight[channels], hidden)
    if "o_proj" in name:
        return padded(grouped(weight.T).T[channels], hidden)
    if "down_proj" in name:
        return padded(weight[channels], hidden)
    weight = padded(weight.T[channels], hidden).T
    return grouped(weight) if "q_proj" in name else weight


def rounded(llama_cpp: Any, source: Path, target: Path, type: str) -> None:
    """Write a file whose matrices are all of one type, embeddings included.

    :raises RuntimeError: llama.cpp cannot.
    """
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{TYPES[type]}")
    params.pure = True
    params.nthread = torch.get_num_threads()
    names = str(source).encode(), str(target).encode()
    if llama_cpp.llama_model_quantize(*names, params):
        raise RuntimeError(f"llama.cpp cannot write {type}")
