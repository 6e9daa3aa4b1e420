"""Fixtures of rerankers: a tiny random cross-encoder, and a bundle on MiniLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CROSS_ENCODER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 30522,
    "pad_token_id": 0,
    "max_position_embeddings": 160,
}


def make_cross_encoder(folder: Path, tokenizer: Path, scores: int = 1) -> Path:
    """Save a random BERT cross-encoder."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    of_config: Any = AutoModelForSequenceClassification.from_config  # not annotated
    torch.manual_seed(1)
    config: Any = AutoConfig.for_model("bert", num_labels=scores, **CROSS_ENCODER)
    of_config(config).save_pretrained(folder / "base")
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder / "base")
    model = CrossEncoder(str(folder / "base"), device="cpu", max_length=96)
    model.save_pretrained(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="session")
def cross_encoder_folder(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random cross-encoder, as sentence-transformers saves one."""
    return make_cross_encoder(tmp_path_factory.mktemp("cross"), minilm_path)


@pytest.fixture(scope="session")
def reranker_bundle(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle on MiniLM whose random updates change the scores."""
    import torch

    from expertrag_lab.reranker.save import save_bundle
    from expertrag_retriever.experts.bundle import Base
    from expertrag_retriever.fingerprint import folder_fingerprint
    from expertrag_retriever.rerank.bundle import RerankerForm, RerankerSettings, open_network

    torch.manual_seed(2)
    network, _ = open_network(minilm_path, rank=4, max_tokens=128)
    for name, parameter in network.trainable_parameters().items():
        if name.endswith(("up", "head.weight")):
            parameter.data = torch.randn_like(parameter) * 0.02
    folder = tmp_path_factory.mktemp("reranker")
    base = Base("all-minilm-l6-v2", folder_fingerprint(minilm_path))
    save_bundle(
        network.trainable_parameters(),
        RerankerSettings(RerankerForm.CROSS_ENCODER, 128, 2.0, rank=4),
        base,
        folder,
        {},
    )
    return folder
