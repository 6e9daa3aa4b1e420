"""Mean hidden states below the first layer with experts, without running the layers above."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from expertrag_lab.router.pooling import pool_states
from expertrag_lab.trunk import first_layer_of
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.routed import mean_pooled
from expertrag_retriever.experts.settings import ExpertSettings

TEXTS = ["short", "A longer text about leases and notices. " * 40, "", "Aspirin lowers the risk."]


@pytest.fixture
def model(minilm_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(minilm_path), device="cpu").eval()


def test_states_are_those_of_the_middle_layer(model: SentenceTransformer) -> None:
    pooled = pool_states(model, TEXTS)
    assert pooled.shape == (4, 384)
    assert pooled.dtype == np.float32
    transformer: Any = model[0]
    for text, row in zip(TEXTS, pooled, strict=True):  # alone, without padding
        features = model.preprocess([text])
        with torch.inference_mode():
            hidden = transformer.model(
                input_ids=features["input_ids"],
                attention_mask=features["attention_mask"],
                output_hidden_states=True,
            ).hidden_states[3]
        expected = mean_pooled(hidden, features["attention_mask"])[0].numpy()
        assert np.allclose(row, expected, atol=1e-5)


def test_the_layers_above_do_not_run(model: SentenceTransformer) -> None:
    ran: list[int] = []
    transformer: Any = model[0]
    for place, layer in enumerate(transformer.model.encoder.layer):
        layer.register_forward_hook(lambda *_, place=place: ran.append(place))
    pool_states(model, ["one"])
    assert ran == [0, 1, 2]


def test_experts_do_not_change_the_states(model: SentenceTransformer) -> None:
    plain = pool_states(model, TEXTS)
    assert first_layer_of(model) == 3
    with_experts(model, ExpertSettings(("legal", "finance"), rank=2))
    assert np.allclose(pool_states(model, TEXTS), plain, atol=1e-6)


def test_pools_at_the_first_layer_with_experts(model: SentenceTransformer) -> None:
    with_experts(model, ExpertSettings(("legal", "finance"), rank=2, first_layer=1))
    assert first_layer_of(model) == 1
    assert pool_states(model, ["one"]).shape == (1, 384)


def test_pooling_reports_progress_and_leaves_the_model_unchanged(
    model: SentenceTransformer,
) -> None:
    before = model.encode(TEXTS)
    assert pool_states(model, []).shape == (0, 384)
    seen: list[tuple[int, int]] = []
    pool_states(model, TEXTS, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    assert np.array_equal(model.encode(TEXTS), before)
