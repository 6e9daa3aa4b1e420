"""What is observed equals a plain loop over tokens and their experts, in every family."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from profile_samples import mixture_of
from torch.nn import functional

from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling import observe as module
from expertrag_lab.surgery.profiling.importance import ExpertProfile, ExpertUse, Method
from expertrag_lab.surgery.profiling.observe import SELECTED_FROM, observe

KINDS = (
    "mixtral",
    "qwen2_moe with null experts",  # shared experts; experts without an output
    "qwen3_moe, some layers dense",
    "deepseek_v2 in groups",
    "deepseek_v3",  # sigmoid with a correction, groups, a scale, a dense layer
    "granitemoeshared",  # the residual stream gets a multiple of the output
    "phimoe",  # SparseMixer
    "gpt_oss",  # biases, interleaved weights, a clamped activation
)
SEQUENCES = (torch.arange(5, 42).tolist(), [7], torch.arange(200, 219).tolist())
RTOL, ATOL = 2e-4, 2e-5  # float32, in another order


def _expert(experts: Any, number: int, x: torch.Tensor) -> torch.Tensor:
    """The output of one expert for one token, by its definition."""
    if type(experts).__name__ == "GptOssExperts":
        both = x @ experts.gate_up_proj[number] + experts.gate_up_proj_bias[number]
        gate, up = both[::2].clamp(max=7.0), both[1::2].clamp(-7.0, 7.0)
        inner = (up + 1) * gate * torch.sigmoid(1.702 * gate)
        down: torch.Tensor = inner @ experts.down_proj[number] + experts.down_proj_bias[number]
        return down
    gate, up = (experts.gate_up_proj[number] @ x).chunk(2)
    found: torch.Tensor = experts.down_proj[number] @ (experts.act_fn(gate) * up)
    return found


def _residuals(mixture: Mixture, tokens: list[int]) -> list[torch.Tensor]:
    """The residual stream (T, H) before the feed-forward network of every decoder layer."""
    model, attended = mixture.model.model, []
    hooks = [
        layer.self_attn.register_forward_hook(lambda _, __, output: attended.append(output[0]))
        for layer in model.layers
    ]
    with torch.no_grad():
        states = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    for hook in hooks:
        hook.remove()
    scale = getattr(mixture.model.config, "residual_multiplier", 1.0)
    return [(state + scale * out)[0] for state, out in zip(states[:-1], attended, strict=True)]


def _loop(mixture: Mixture, sequences: Any = SEQUENCES, least: float = SELECTED_FROM) -> ExpertUse:
    """The sums, token by token and expert by expert."""
    use = ExpertUse.none(len(mixture.layers), mixture.num_experts)
    scale = getattr(mixture.model.config, "residual_multiplier", 1.0)
    sigmoid = mixture.model.config.model_type in ("deepseek_v3", "glm4_moe")
    for tokens in sequences:
        residuals = _residuals(mixture, tokens)
        use.tokens.add_(len(tokens))
        for place, layer in enumerate(mixture.layers):
            norm = mixture.model.model.layers[layer.number].post_attention_layernorm
            for before in residuals[layer.number]:
                x = norm(before)
                with torch.no_grad():
                    logits, weights, chosen = (part[0] for part in layer.router(x[None]))
                logits = logits.double()
                use.logits[place] += logits
                use.products[place] += torch.outer(logits, logits)
                use.probability[place] += logits.sigmoid() if sigmoid else logits.softmax(0)
                outputs = [_expert(layer.experts, int(e), x) for e in chosen]
                routed = sum(w * y for w, y in zip(weights, outputs, strict=True))
                cosine = functional.cosine_similarity(before, before + scale * routed, dim=0)
                exponents = [float(logits[e].exp()) for e in chosen]
                for e, w, y, exponent in zip(chosen, weights, outputs, exponents, strict=True):
                    share = exponent / sum(exponents)
                    use.selected[place, e] += 1
                    use.weight[place, e] += w
                    use.weighted_norm[place, e] += w * y.norm()
                    use.output_aware[place, e] += w * y.norm() * (1 - cosine)
                    use.selection[place, e] += share if share >= least else 0.0
                    use.peak[place, e] = max(use.peak[place, e], y.abs().max())
    return use


def _assert_same(one: ExpertUse, other: ExpertUse) -> None:
    for field in fields(ExpertUse):
        found, wanted = getattr(one, field.name), getattr(other, field.name)
        assert torch.allclose(found, wanted, RTOL, ATOL), field.name


@pytest.mark.parametrize("kind", KINDS)
def test_the_sums_are_those_of_the_equations(kind: str) -> None:
    mixture = mixture_of(kind)
    found = observe(mixture, SEQUENCES)
    _assert_same(found, _loop(mixture))
    total = sum(map(len, SEQUENCES))
    assert float(found.tokens) == total
    assert found.selected.sum(1).tolist() == [total * mixture.top_k] * len(mixture.layers)


def test_null_experts_count_as_chosen_without_an_output() -> None:
    mixture = mixture_of("qwen2_moe with null experts")
    found = observe(mixture, SEQUENCES)
    nulls = slice(-mixture.null_experts, None)
    assert found.selected[:, nulls].sum() > 0 and found.weight[:, nulls].sum() > 0
    for sums in (found.weighted_norm, found.output_aware, found.peak):
        assert not sums[:, nulls].any() and sums[:, : -mixture.null_experts].any()


def test_sequences_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = mixture_of("mixtral")
    at_once = observe(mixture, SEQUENCES)
    use = observe(mixture, SEQUENCES[:1])
    again = observe(mixture, SEQUENCES[1:], use)
    assert again is use
    first, *rest = (observe(mixture, [some]) for some in SEQUENCES)
    parts = sum(rest, first)
    monkeypatch.setattr(module, "_MOST_ROWS", 5)  # 37 tokens of 2 experts: parts of 2 tokens
    in_parts = observe(mixture, SEQUENCES)
    for field in fields(ExpertUse):
        wanted = getattr(at_once, field.name)
        assert torch.equal(getattr(use, field.name), wanted), field.name
        torch.testing.assert_close(getattr(parts, field.name), wanted, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(getattr(in_parts, field.name), wanted, rtol=1e-6, atol=1e-6)


def test_the_threshold_leaves_small_shares_out() -> None:
    mixture = mixture_of("mixtral")
    for least in (0.0, 0.3, 1.0 + 1e-9):
        found = observe(mixture, SEQUENCES, selected_from=least).selection
        torch.testing.assert_close(
            found, _loop(mixture, least=least).selection, rtol=RTOL, atol=ATOL
        )
    everything = observe(mixture, SEQUENCES, selected_from=0.0)
    shares = everything.selection.sum(1)
    torch.testing.assert_close(shares, everything.tokens.expand_as(shares))
    assert not found.any()


def test_the_model_is_left_as_it_was() -> None:
    mixture = mixture_of("deepseek_v3")
    ids = torch.tensor([SEQUENCES[0]])
    with torch.no_grad():
        before = mixture.model(ids).logits
        observe(mixture, SEQUENCES)
        with pytest.raises(IndexError):
            observe(mixture, [[10**6]])  # a token that the model does not have
        after = mixture.model(ids).logits
    assert torch.equal(before, after)
    for part in mixture.model.modules():
        assert not part._forward_hooks and not part._forward_pre_hooks


def _planted(favourites: tuple[tuple[int, ...], ...]) -> tuple[Mixture, list[list[int]]]:
    """A mixture whose routers choose ``favourites`` for tokens of the n-th domain, in all layers.

    Attention adds nothing and experts little, so that a token stays in its domain's direction.
    """
    mixture = mixture_of("qwen3_moe", num_experts=8)
    model, tokens = mixture.model.model, [list(range(20 * n, 20 * n + 20)) for n in range(2)]
    with torch.no_grad():
        model.embed_tokens.weight.zero_()
        for domain, own in enumerate(tokens):
            model.embed_tokens.weight[own, domain] = 3.0
            model.embed_tokens.weight[own, 2:] = 0.2 * torch.randn(len(own), 30)
        for layer in mixture.layers:
            decoder = model.layers[layer.number]
            decoder.self_attn.o_proj.weight.zero_()
            decoder.post_attention_layernorm.weight.fill_(1.0)
            experts, router = layer.weights["experts.down_proj"], layer.weights["gate.weight"]
            experts.mul_(0.01)
            router.zero_()
            for domain, favoured in enumerate(favourites):
                router[list(favoured), domain] = 4.0
    return mixture, tokens


@pytest.mark.parametrize("method", [m for m in Method if m is not Method.RANDOM])
def test_planted_importance_is_recovered(method: Method) -> None:
    favourites = ((1, 6), (0, 3))
    mixture, tokens = _planted(favourites)
    profile = ExpertProfile(
        "planted", (0, 1, 2), {f"d{n}": observe(mixture, [own]) for n, own in enumerate(tokens)}
    )
    for domain, own in enumerate(favourites):
        scores = profile.importance(method, [f"d{domain}"])
        for layer in scores.topk(2).indices.tolist():
            assert sorted(layer) == list(own)
    together = profile.importance(method).topk(4).indices
    assert [sorted(layer) for layer in together.tolist()] == [[0, 1, 3, 6]] * 3


def test_a_planted_super_expert_is_found_and_no_other() -> None:
    mixture, tokens = _planted(((1, 6), (0, 3)))
    before = ExpertProfile("planted", (0, 1, 2), {"all": observe(mixture, tokens)})
    assert not before.super_experts().any()
    mixture.layers[1].weights["experts.down_proj"][3] *= 1000
    profile = ExpertProfile("planted", (0, 1, 2), {"all": observe(mixture, tokens)})
    assert profile.super_experts().nonzero().tolist() == [[1, 3]]
