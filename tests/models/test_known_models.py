"""The tables of models that people name: made by the code that loads models."""

from __future__ import annotations

from dataclasses import replace

import known_models
import pytest
import torch
from known_models import KNOWN, examine, packed_bytes, renewed
from model_families import FAMILIES, model_of

from expertrag.llm.engine.lowering import lower
from expertrag_kernels import Format
from expertrag_kernels.cpu_experts import ISAS

PUBLISHED = {  # billions of parameters, as their makers say
    "Llama-3.2-3B-Instruct": 3.21,
    "Qwen3-4B": 4.02,
    "OLMoE-1B-7B-0924-Instruct": 6.92,
    "Qwen3-30B-A3B": 30.5,
    "Mixtral-8x7B-Instruct-v0.1": 46.7,
    "gpt-oss-20b": 20.9,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shapes_give_the_published_parameters(name: str) -> None:
    known = next(known for known in KNOWN if known.name == name)
    assert examine(known).parameters / 1e9 == pytest.approx(PUBLISHED[name], rel=2e-3)


def test_the_reason_is_the_engines_own() -> None:
    known = next(known for known in KNOWN if known.name == "Qwen3-4B")
    assert examine(known).reason == ""
    shorter = replace(known, config={**known.config, "hidden_act": "tanh"})
    assert examine(shorter).reason == "activation tanh"


@pytest.mark.skipif(not ISAS, reason="packing needs compiled kernels")
@pytest.mark.parametrize("family", ["qwen2", "mixtral", "deepseek_v2 in groups"])
@pytest.mark.parametrize("format", [Format.INT4, Format.BF16])
def test_the_bytes_are_those_that_are_packed(family: str, format: Format) -> None:
    kind, change = FAMILIES[family]
    model = model_of(kind, **change)
    lowered = lower(model, format, cache_bytes=1 << 24, context_tokens=512)
    packed = [some for some in lowered.weights.values() if not isinstance(some, torch.Tensor)]
    assert packed_bytes(model, format) == sum(some.data.numel() for some in packed)


def test_every_model_of_the_tables_can_be_made() -> None:
    rows = {known.name: examine(known) for known in KNOWN}
    assert [name for name, row in rows.items() if row.reason] == [
        "gpt-oss-20b",
        "granite-4.0-h-tiny",
    ]
    assert all(row.active <= row.parameters for row in rows.values())


def test_tables_are_renewed_between_their_marks() -> None:
    page = f"a\n{known_models.BEGIN}\nold\n{known_models.END}\nb\n"
    assert renewed(page, "new") == f"a\n{known_models.BEGIN}\nnew\n{known_models.END}\nb\n"
