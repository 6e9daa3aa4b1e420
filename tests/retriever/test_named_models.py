"""Embedding models that people name: tiny random ones, of their architecture and settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Transformer,
)
from transformers import AutoConfig, AutoModel, AutoTokenizer

from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.prompts import Prompts, prompts_of_family

TEXTS = [
    "The lease ends on 31 March.",
    "Either party may give notice six months before the end of a quarter, in writing. " * 4,
    "Roses",
    "Der Urlaub wird beantragt.",
]
SIZES = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64}
HEADS = {"num_attention_heads": 4}
GROUPED = {**HEADS, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 32_768}


@dataclass(frozen=True)
class Named:
    """A model as published: its architecture, its pooling, and what it reads."""

    name: str
    kind: str
    config: dict[str, Any]
    pooling: str
    reads: int
    own_prompts: bool = False
    dense: bool = False


NAMED = [
    Named("bge-m3", "xlm-roberta", {**HEADS, "max_position_embeddings": 8194}, "cls", 8192),
    Named("e5-large-v2", "bert", {**HEADS, "max_position_embeddings": 512}, "mean", 512),
    Named("Qwen3-Embedding-0.6B", "qwen3", GROUPED, "lasttoken", 32_768, own_prompts=True),
    Named(
        "embeddinggemma-300m",
        "gemma3_text",
        {**GROUPED, "use_bidirectional_attention": True},
        "mean",
        2048,
        own_prompts=True,
        dense=True,
    ),
]


def write_model(
    named: Named, tokenizer_from: Path, folder: Path, chat_template: str | None = None
) -> Path:
    """Write a random model as its authors publish theirs; return its folder."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_from)
    tokenizer.chat_template = chat_template
    tokenizer.padding_side = "left" if named.pooling == "lasttoken" else "right"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config: Any = AutoConfig.for_model(named.kind, **SIZES, **named.config, **vocabulary)
    from_config: Any = AutoModel.from_config
    torch.manual_seed(0)
    from_config(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    transformer = Transformer(str(folder / "base"), max_seq_length=named.reads)
    modules: list[Any] = [transformer, Pooling(32, pooling_mode=named.pooling)]
    if named.dense:
        modules += [Dense(32, 64, bias=False), Dense(64, 32, bias=False)]
    model = SentenceTransformer(modules=[*modules, Normalize()], device="cpu")
    family = prompts_of_family(named.name)
    if named.own_prompts and family is not None:
        model.prompts = {"query": family.query, "document": family.document}
    model.save(str(folder / named.name))
    return folder / named.name


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.name)
def test_a_named_model(named: Named, minilm_path: Path, smollm_path: Path, tmp_path: Path) -> None:
    tokenizer_from = minilm_path if named.config is not GROUPED and not named.dense else smollm_path
    folder = write_model(named, tokenizer_from, tmp_path)
    embedder = load_embedder(str(folder), device="cpu")
    reference = SentenceTransformer(str(folder), device="cpu")
    prompts = prompts_of_family(named.name) or Prompts()
    assert (embedder.dimension, embedder.max_tokens) == (32, named.reads)
    pairs = (
        (embedder.encode_queries(TEXTS), prompts.query),
        (embedder.encode_documents(TEXTS), prompts.document),
    )
    for ours, prompt in pairs:
        theirs = reference.encode(TEXTS, prompt=prompt or "")
        assert np.einsum("nd,nd->n", ours, theirs).min() > 0.999
    alone = [embedder.encode_query(text) for text in TEXTS]  # padding changes nothing
    assert np.einsum("nd,nd->n", alone, pairs[0][0]).min() > 0.999


def test_prompts_of_the_family_are_part_of_the_fingerprint(
    minilm_path: Path, tmp_path: Path
) -> None:
    folder = write_model(NAMED[1], minilm_path, tmp_path)
    renamed = folder.rename(tmp_path / "our-own")
    plain = load_embedder(str(renamed), device="cpu")
    named = load_embedder(str(renamed.rename(folder)), device="cpu")
    assert plain.fingerprint != named.fingerprint
    assert not np.allclose(plain.encode_query("roses"), named.encode_query("roses"), atol=1e-3)


def test_texts_in_a_chat_template_are_refused(smollm_path: Path, tmp_path: Path) -> None:
    template = "{% for message in messages %}<|im_start|>{{ message.content }}{% endfor %}"
    folder = write_model(NAMED[2], smollm_path, tmp_path, template)
    with pytest.raises(EmbedderError, match=r"alone in sentence_bert_config\.json"):
        load_embedder(str(folder), device="cpu")
    about = folder / "sentence_bert_config.json"
    config = json.loads(about.read_text())
    del config["modality_config"]["message"]
    about.write_text(json.dumps(config))
    assert load_embedder(str(folder), device="cpu").dimension == 32
