"""Cached states instead of the shared layers do not change vectors, in every kind of encoder."""

from __future__ import annotations

import pytest
import torch
from encoder_fixtures import KINDS, Encoders
from sentence_transformers import SentenceTransformer

from expertrag_lab import trunk as trunk_module
from expertrag_lab.trunk import Trunk
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import ExpertSettings
from expertrag_retriever.experts.surgery import expert_layers

TEXTS = ["a short text", "a text that is rather longer than the first one of them", "one"]


def _with_an_expert(model: SentenceTransformer) -> SentenceTransformer:
    torch.manual_seed(0)
    transformer = with_experts(model, ExpertSettings(("trees",), rank=2))
    for _, layer in expert_layers(transformer.model):
        torch.nn.init.normal_(layer.second, std=0.1)
    return model


def _whole(model: SentenceTransformer, domain: str) -> torch.Tensor:
    vectors = model.encode(TEXTS, domain=domain, convert_to_tensor=True)
    return torch.nn.functional.normalize(vectors, dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_equal_those_of_the_whole_model(encoder: Encoders, kind: str) -> None:
    model = _with_an_expert(encoder(kind))
    trunk = Trunk(model)
    for known in (False, True):
        if known:
            trunk.learn(TEXTS, lambda _done, _total: None)
        with torch.no_grad():
            assert torch.allclose(trunk.vectors(TEXTS, 0), _whole(model, "trees"), atol=1e-5)
            assert torch.allclose(trunk.vectors(TEXTS, 1), _whole(model, "general"), atol=1e-5)
    assert not torch.allclose(_whole(model, "trees"), _whole(model, "general"), atol=1e-3)


def test_texts_beyond_the_memory_run_through_the_whole_model(
    encoder: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _with_an_expert(encoder("bert"))
    monkeypatch.setattr(trunk_module, "_MOST_BYTES", -1)
    with torch.no_grad():
        trunk = Trunk(model)
        trunk.learn(TEXTS, lambda _done, _total: None)
        vectors = trunk.vectors(TEXTS, 0)
    assert torch.allclose(vectors, _whole(model, "trees"), atol=1e-5)


def test_gradients_reach_only_the_experts(encoder: Encoders) -> None:
    model = _with_an_expert(encoder("bert"))
    Trunk(model).vectors(TEXTS, 0).sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.endswith(("first", "second")), name
