"""Models of every family as our steps, against transformers; and the reasons to reject others."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from model_families import FAMILIES, model_of
from model_fixtures import lowered

from expertrag.llm.engine.lowering import Unsupported
from expertrag_kernels import Format, Routing
from expertrag_kernels.steps import SequenceRows
from expertrag_kernels.torch_decoder import TorchDecoder

_IN_TORCH = partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family: str) -> None:
    kind, change = FAMILIES[family]
    model = model_of(kind, **change)
    ids = torch.randint(3, 301, (150,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = model(input_ids=ids[None]).logits[0]
    places = torch.arange(150)
    for format, most in ((Format.F32, 1e-5), (Format.BF16, 0.05), (Format.INT8, 0.15)):
        decoder = lowered(model, format).decoder
        found, _ = decoder.run(ids, places, [SequenceRows(0, 150, torch.tensor([2, 0, 1]))], places)
        # near ties in a router change single rows, which the median ignores
        errors = (found - wanted).norm(dim=1) / wanted.norm(dim=1)
        assert errors.median() < most, format
    decoder = lowered(model, Format.F32, make=_IN_TORCH).decoder
    pages, parts = torch.tensor([2, 0, 1]), []
    for start, stop in ((0, 130), (130, 149), (149, 150)):  # by one product, by pages, and alone
        places = torch.arange(start, stop)
        texts = [SequenceRows(0, stop - start, pages)]
        parts.append(decoder.run(ids[start:stop], places, texts, places - start)[0])
    torch.testing.assert_close(torch.cat(parts), wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("options", [{}, {"make": _IN_TORCH}], ids=["cpu", "gpu"])
def test_a_sequence_may_have_its_own_expert(options: dict[str, Any]) -> None:
    model = model_of("mixtral", num_local_experts=5)
    decoder = lowered(model, Format.F32, **options).decoder
    ids = torch.arange(3, 33)
    texts = [
        SequenceRows(0, 30, torch.tensor([0]), expert=3),
        SequenceRows(30, 60, torch.tensor([1])),
    ]
    places, every = torch.arange(30).repeat(2), torch.arange(60)
    found, _ = decoder.run(ids.repeat(2), places, texts, every)
    more = decoder.run(
        ids[:1], torch.tensor([30]), [SequenceRows(0, 1, torch.tensor([0]), 3)], every[:1]
    )
    with torch.inference_mode():
        routed = model(input_ids=ids[None]).logits[0]
        for layer in model.model.layers:  # as if each router chose it
            for weights in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj):
                weights.copy_(weights[3].clone().expand_as(weights))
        wanted = model(input_ids=torch.cat([ids, ids[:1]])[None]).logits[0]
    torch.testing.assert_close(found[:30], wanted[:30], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(more[0], wanted[30:], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found[30:], routed, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="experts must be from 0 to 4"):
        decoder.run(
            ids[:1], every[:1], [SequenceRows(0, 1, torch.tensor([0]), expert=5)], every[:1]
        )


_IDS = torch.randint(3, 301, (150,), generator=torch.Generator().manual_seed(1))
_MIXTURES = [
    family
    for family, (_, change) in FAMILIES.items()
    if change.keys() & {"num_experts", "num_local_experts", "n_routed_experts"}
]


def _logits(model: Any, ids: torch.Tensor, routing: Routing, **options: Any) -> torch.Tensor:
    places = torch.arange(len(ids))
    texts = [SequenceRows(0, len(ids), torch.tensor([2, 0, 1]), routing=routing)]
    return lowered(model, Format.F32, **options).decoder.run(ids, places, texts, places)[0]


@pytest.mark.parametrize("options", [{}, {"make": _IN_TORCH}], ids=["cpu", "gpu"])
@pytest.mark.parametrize("family", _MIXTURES)
def test_a_policy_that_drops_no_expert_changes_no_bit(family: str, options: dict[str, Any]) -> None:
    kind, change = FAMILIES[family]
    model, ids = model_of(kind, **change), _IDS
    own = _logits(model, ids, Routing(), **options)
    for policy in (Routing(top_k=2), Routing(threshold=1e-30)):
        assert torch.equal(_logits(model, ids, policy, **options), own)
    assert not torch.equal(_logits(model, ids, Routing(top_k=1), **options), own)


@pytest.mark.parametrize("options", [{}, {"make": _IN_TORCH}], ids=["cpu", "gpu"])
@pytest.mark.parametrize(
    "family", [name for name in _MIXTURES if "phimoe" not in name]
)  # always two
def test_fewer_experts_are_those_of_a_model_that_chooses_fewer(
    family: str, options: dict[str, Any]
) -> None:
    kind, change = FAMILIES[family]
    fewer = model_of(kind, **{**change, "num_experts_per_tok": 1})
    with torch.inference_mode():
        wanted = fewer(input_ids=_IDS[None]).logits[0]
    model = model_of(kind, **change)  # with the same weights
    for policy in (Routing(top_k=1), Routing(top_p=1e-9), Routing(threshold=1.0)):
        found = _logits(model, _IDS, policy, **options)
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


_NULLS = [family for family in FAMILIES if "null" in family]


@pytest.mark.parametrize("options", [{}, {"make": _IN_TORCH}], ids=["cpu", "gpu"])
@pytest.mark.parametrize("family", _NULLS)
def test_null_experts_are_not_packed_and_all_of_them_change_no_bit(
    family: str, options: dict[str, Any]
) -> None:
    kind, change = FAMILIES[family]
    model, nulls = model_of(kind, **change), change["num_null_experts"]
    ours = lowered(model, Format.F32, **options)
    assert ours.null_experts == nulls
    assert ours.weights["layers.0.experts"].num_experts == change["num_experts"] - nulls
    own = _logits(model, _IDS, Routing(), **options)
    assert torch.equal(_logits(model, _IDS, Routing(null=nulls), **options), own)
    closed = _logits(model, _IDS, Routing(null=0), **options)
    for layer in model.model.layers:
        layer.mlp.gate.forward = partial(_without, layer.mlp.gate, nulls)
    with torch.inference_mode():
        wanted = model(input_ids=_IDS[None]).logits[0]
    torch.testing.assert_close(closed, wanted, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(closed, own, atol=1e-2)


def _without(gate: Any, nulls: int, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Route as a router of transformers, whose null experts cannot be chosen."""
    logits = torch.nn.functional.linear(rows.flatten(0, -2), gate.weight)
    weights, index = logits.softmax(-1)[:, :-nulls].topk(gate.top_k)
    if gate.norm_topk_prob:
        weights = weights / weights.sum(1, keepdim=True)
    return logits, weights, index


def test_a_null_expert_that_computes_something_is_refused() -> None:
    kind, change = FAMILIES[_NULLS[0]]
    model = model_of(kind, **change)
    model.model.layers[1].mlp.experts.down_proj.data[-1, 3, 2] = 0.5
    with pytest.raises(ValueError, match="null experts must have weights of zero"):
        lowered(model, Format.F32)


@pytest.mark.parametrize("family", ["mixtral", "granitemoe"])
def test_hidden_values_of_watched_rows_are_kept(family: str) -> None:
    kind, change = FAMILIES[family]
    model = model_of(kind, **change)
    ours = lowered(model, Format.F32)
    ids = torch.arange(3, 40)
    with torch.inference_mode():
        output = model(input_ids=ids[None], output_hidden_states=True, output_router_logits=True)
    places = torch.arange(37)
    texts = [SequenceRows(0, 37, torch.tensor([0]))]
    _, kept = ours.decoder.run(ids, places, texts, places[-1:], places[-5:])
    for place, logits in zip(ours.routers, output.router_logits, strict=True):
        torch.testing.assert_close(kept[place], logits[-5:], atol=1e-4, rtol=1e-4)
    for place, layer in ((ours.middle, 1), (ours.upper, 2)):
        hidden = output.hidden_states[layer][0, -5:]
        torch.testing.assert_close(kept[place], hidden, atol=1e-4, rtol=1e-4)


_LONG = {
    "rope_parameters": {
        **FAMILIES["phimoe with long angles"][1]["rope_parameters"],
        "original_max_position_embeddings": 511,
    }
}


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("gemma2", {}, "models of type gemma2 are not known"),
        (
            "gpt_oss",
            {"num_local_experts": 4, "swiglu_limit": 9.0},
            "a clamped SwiGLU of 1.702 and 9",
        ),
        ("olmoe", {"num_experts": 5, "clip_qkv": 8.0}, "clipped queries and keys"),
        ("olmoe", {"num_experts": 5, "num_null_experts": 4}, "4 null experts of 5"),
        (
            "gpt_oss",
            {"num_local_experts": 4, "num_null_experts": 1},
            "null experts of type gpt_oss",
        ),
        ("llama", {"hidden_act": "tanh"}, "activation tanh"),
        ("llama", {"mlp_bias": True}, "biases of a dense layer"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "position encoding dynamic",
        ),
        ("phimoe", _LONG, "position encoding longrope beyond 511 tokens"),
        ("phimoe", {"num_experts_per_tok": 3}, "SparseMixer without two experts per token"),
    ],
)
def test_unsupported_models_name_the_reason(kind: str, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        lowered(model_of(kind, **change), Format.F32)


@pytest.mark.parametrize("options", [{}, {"make": _IN_TORCH}], ids=["cpu", "gpu"])
@pytest.mark.parametrize("window", [30, 64, 100])
@pytest.mark.parametrize("kind", ["mistral", "gpt_oss"])
def test_windows_at_the_borders_of_pages(kind: str, window: int, options: dict[str, Any]) -> None:
    change = {"num_local_experts": 4} if kind == "gpt_oss" else {}
    model = model_of(kind, sliding_window=window, **change)
    model.set_attn_implementation("eager")
    decoder = lowered(model, Format.F32, **options).decoder
    assert decoder.windows == ([window, 0, window] if change else [window] * 3)
    for length in (63, 64, 65, 200):
        ids = torch.randint(3, 301, (length,), generator=torch.Generator().manual_seed(length))
        places = torch.arange(length)
        texts = [SequenceRows(0, length, torch.tensor([2, 0, 1, 3]))]
        found, _ = decoder.run(ids, places, texts, places)
        with torch.inference_mode():
            wanted = model(input_ids=ids[None]).logits[0]
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_a_cache_too_small_for_a_page() -> None:
    with pytest.raises(Unsupported, match="too small for one page of 64 tokens"):
        lowered(model_of("llama"), Format.F32, cache_bytes=1000)
