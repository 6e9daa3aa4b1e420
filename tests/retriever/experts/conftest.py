"""Encoders of every kind that can have experts, tiny and random, with the tokenizer of MiniLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 30522,
}
KINDS = ("bert", "mpnet", "modernbert", "nomic_bert")

Encoders = Callable[[str], "SentenceTransformer"]


@pytest.fixture(scope="session")
def encoder_folders(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind of encoder, with mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_path)
    folders = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        config: Any = AutoConfig.for_model(kind, **_SIZES, pad_token_id=0, max_position_embeddings=160)
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder / "base")
        tokenizer.save_pretrained(folder / "base")
        transformer = Transformer(str(folder / "base"), max_seq_length=64)
        model = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
        model.save(str(folder / "model"))
        folders[kind] = folder / "model"
    return folders


@pytest.fixture
def encoder(encoder_folders: dict[str, Path]) -> Encoders:
    """Load an encoder of a kind, anew each time: surgery changes it."""

    def load(kind: str) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(encoder_folders[kind]), device="cpu").eval()

    return load
