"""Routing and hidden states of a prefill, against hand-computed values and the plain model."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_fixtures import TinyFolder
from transformers import AutoModelForCausalLM

from expertrag.api.types import Sampling
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.watching import watch

_QUESTION = [Message("user", "Who wrote Dracula?")]


def output(*routers: torch.Tensor) -> SimpleNamespace:
    """Embeddings and four layers, of two tokens, each filled with its number."""
    states = tuple(torch.full((1, 2, 3), float(layer)) for layer in range(5))
    return SimpleNamespace(hidden_states=states, router_logits=routers)


def test_router_signals_by_layer_and_expert() -> None:
    uniform, sure = torch.zeros(2, 4), torch.tensor([[0.0] * 4, [1e4, 0.0, 0.0, 0.0]])
    seen = watch(output(uniform, sure))
    assert seen.router_entropy == pytest.approx(math.log(4) * 3 / 4)
    assert seen.vectors["router_entropies"] == pytest.approx([math.log(4), math.log(4) / 2])
    assert seen.vectors["router_pattern"] == pytest.approx([0.25] * 4 + [0.625] + [0.125] * 3)


def test_only_the_end_of_a_long_prompt_is_watched() -> None:
    before, end = torch.zeros(100, 2), torch.tensor([[1e4, 0.0]]).expand(32, 2)
    seen = watch(output(torch.cat([before, end])))
    assert seen.router_entropy == 0
    assert seen.vectors["router_pattern"] == pytest.approx([1, 0])


def test_a_model_without_a_router() -> None:
    seen = watch(output())
    assert seen.router_entropy is None
    assert seen.vectors.keys() == {"hidden_middle", "hidden_upper"}
    assert (seen.vectors["hidden_middle"][0], seen.vectors["hidden_upper"][0]) == (2, 3)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("kind", ["olmoe", "qwen3_moe", "mixtral", "llama"])
def test_signals_of_a_session_are_those_of_the_plain_model(
    kind: str, native: bool, tiny_folder: TinyFolder
) -> None:
    folder = tiny_folder(kind)
    generator = TransformersGenerator.load(str(folder), dtype="float32", native=native)
    signals = generator.begin(_QUESTION, Sampling(max_tokens=1)).peek(1)
    eager = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    options = {} if kind == "llama" else {"output_router_logits": True}
    ids = torch.tensor([generator._chat.encode(_QUESTION)])
    with torch.inference_mode():
        out = eager(ids, output_hidden_states=True, **options)
    assert signals is not None
    layers = len(out.hidden_states) - 1
    np.testing.assert_allclose(
        signals.vectors["hidden_upper"], out.hidden_states[layers * 3 // 4][0, -1], atol=1e-5
    )
    assert ("router_pattern" in signals.vectors) is (kind != "llama")
    if kind != "llama":
        first = out.router_logits[0].softmax(-1)[-32:].mean(0)
        np.testing.assert_allclose(
            signals.vectors["router_pattern"][: len(first)], first, atol=1e-5
        )
        assert len(signals.vectors["router_pattern"]) == len(first) * layers


def test_nothing_is_watched_unless_requested(
    tiny_left: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_output: object) -> None:
        raise AssertionError("watched")

    monkeypatch.setattr("expertrag.llm.backends.transformers_network.watch", refuse)
    assert list(tiny_left.begin(_QUESTION, Sampling(max_tokens=2)).stream())
