"""Tiny random dense models of the families that can be split, and texts for them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from model_families import FAMILIES, model_of
from profile_samples import WORDS

from expertrag.llm.convert.dense import Dense
from expertrag_index.types import silent
from expertrag_lab.surgery.splitting.dense_inputs import dense_inputs
from expertrag_lab.surgery.splitting.layer_split import LayerSplit, split_layer
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes

DENSE_FAMILIES = ("llama", "llama 3's angles", "mistral", "qwen2", "qwen3")
"""Families that can be split: 48 neurons in each of 3 layers."""
SIZES = SplitSizes(8, 2, 3)
"""Experts of 6 neurons."""


def dense_of(family: str, **change: Any) -> Dense:
    """A model in float32, without a tokenizer."""
    kind, own = FAMILIES[family]
    model = model_of(kind, **{**own, **change}).requires_grad_(False)
    return Dense(model, None, "tiny", "cc0-1.0")  # type: ignore[arg-type]


def write_dense(
    folder: Path,
    tokenizer: Path,
    family: str = "llama",
    dtype: torch.dtype = torch.float32,
    **change: Any,
) -> Path:
    """Write a model, with the short tokenizer of a folder."""
    shutil.copytree(tokenizer, folder)
    kind, own = FAMILIES[family]
    sizes = {"vocab_size": WORDS, "max_position_embeddings": 1024}
    model_of(kind, **{**own, **sizes, **change}).to(dtype).save_pretrained(folder)
    return folder


def splits_of(dense: Dense, texts: list[list[int]], sizes: SplitSizes = SIZES) -> list[LayerSplit]:
    """Split all layers of a model by what they do in texts."""
    model: Any = dense.model
    inputs = dense_inputs(model, texts, 10_000, 0, silent)
    return [
        split_layer(layer.mlp, own, sizes)
        for layer, own in zip(model.model.layers, inputs, strict=True)
    ]


def neurons(network: Any) -> torch.Tensor:
    """The neurons of a network as rows (I, 3H): gate, up, and down."""
    parts = network.gate_proj.weight, network.up_proj.weight, network.down_proj.weight.T
    return torch.cat([part.detach() for part in parts], dim=1)
