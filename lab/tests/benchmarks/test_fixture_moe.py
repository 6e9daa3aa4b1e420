"""The small mixture of fixture_moe.py: its experts, losses, rows, and its training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_card import measured, routing_use
from fixture_moe import PROFILES, Material, planned, trained
from fixture_network import Shape, balance_loss, new_model, run
from fixture_texts import ANSWER_WEIGHT, ROW_TOKENS, Rows, new_tokenizer, prompt_rows, text_rows

from expertrag.llm.base import Message
from expertrag.llm.load.chat import ChatTokenizer

_SMALL = Shape(layers=2, hidden=32, experts=4, null_experts=3, inner=16, shared_inner=16, words=300)
_TEXTS = ["One two three four.", "Three is 33 and four is 4.", "five 55"] * 40


def _tokens(rows: int) -> torch.Tensor:
    return torch.randint(3, 300, (rows, 40), generator=torch.Generator().manual_seed(2))


def _gradients(model: Any, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.autograd.backward(run(model, tokens).losses.mean())
    return {name: value.grad.clone() for name, value in model.named_parameters()}


def test_experts_and_their_gradients_are_those_of_transformers() -> None:
    model, tokens = new_model(_SMALL, 0, seed=1), _tokens(3)
    ours, gradients = run(model, tokens).losses, _gradients(model, tokens)
    model.zero_grad()
    model.set_experts_implementation("eager")
    torch.testing.assert_close(run(model, tokens).losses, ours, atol=1e-5, rtol=1e-5)
    wanted = _gradients(model, tokens)
    for name, value in gradients.items():
        if "experts" not in name:
            torch.testing.assert_close(value, wanted[name], atol=1e-5, rtol=1e-4)
        else:  # null experts are not trained
            torch.testing.assert_close(value[:4], wanted[name][:4], atol=1e-5, rtol=1e-4)
            assert not value[4:].any()


def test_the_balance_loss_is_one_at_an_even_load_and_null_experts_share_theirs() -> None:
    even = torch.eye(4).mul(50.0)  # token t chooses expert t
    assert balance_loss([even], 1, 0) == pytest.approx(1.0)
    skewed = even[[0, 0, 0, 0]]  # all choose expert 0, with all of the probability
    assert balance_loss([skewed], 1, 0) == pytest.approx(4.0)
    last = even[[3, 3, 0, 1]]  # the two null experts get .5 of the load, and .25 each
    expected = 4 * (0.25 * 0.25 + 0.25 * 0.25 + 0.5 * 0.25)
    assert balance_loss([last], 1, 2) == pytest.approx(expected)


def test_rows_hold_whole_prompts_and_weigh_their_replies() -> None:
    pairs = [([5] * 300, [7, 0]), ([6] * 100, [8, 0]), ([9] * 600, [1, 0]), ([4] * 300, [2, 0])]
    rows = prompt_rows(pairs, end=0)
    assert rows.tokens.shape == (2, ROW_TOKENS)
    assert rows.tokens[0, 300:302].tolist() == [7, 0]
    weights = rows.weights[0]
    assert weights[299:303].tolist() == [1, ANSWER_WEIGHT, ANSWER_WEIGHT, 1]
    assert int((weights > 0).sum()) == 404
    texts = text_rows([[3] * 500, [4] * 600], end=0)
    assert texts.tokens.shape == (2, ROW_TOKENS)
    assert texts.tokens[0, 500] == 0 and texts.tokens[0, 501] == 4


def test_the_tokenizer_tells_turns_apart_and_reads_every_text() -> None:
    tokenizer = new_tokenizer(_TEXTS, words=300)
    chat = ChatTokenizer(tokenizer)
    tokens = chat.encode([Message("system", "One."), Message("user", "four <|end|> naïve 日本")])
    assert tokens.count(tokenizer.eos_token_id) == 2
    text = tokenizer.decode(tokens)
    assert text.startswith("<|turn|>system\nOne.<|end|>\n<|turn|>user\nfour < |end|> naïve 日本")
    assert text.endswith("<|turn|>assistant\n")


def test_every_row_is_planned_before_one_comes_again() -> None:
    one = Rows(torch.zeros(3, 4), torch.zeros(3, 4))
    sets = {f"{name} text": one for name in ("biomedicine", "encyclopedia", "finance")}
    sets |= {f"{name} text": one for name in ("legal", "science", "technical")}
    sets["legal prompts"] = one
    plan = planned(sets, 6, seed=0)
    assert [len(batch) for batch in plan] == [6] * 6
    texts = [row for batch in plan for name, row in batch if name == "science text"]
    assert sorted(texts[:3]) == sorted(texts[3:]) == [0, 1, 2]
    assert [any(name == "legal prompts" for name, _ in batch) for batch in plan[:2]] == [
        False,
        True,
    ]


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    tokenizer = new_tokenizer(_TEXTS, words=300)
    rows = text_rows(tokenizer(_TEXTS).input_ids, 0)
    rows = Rows(rows.tokens[:, :40], rows.weights[:, :40])
    names = ("biomedicine", "encyclopedia", "finance", "legal", "science", "technical")
    material = Material(tokenizer, {f"{n} text": rows for n in names}, {"science text": rows})

    def train(folder: Path, stop: int | None = None) -> Any:
        def watch(_stage: str, done: int, _total: int | None) -> None:
            if done == stop:
                raise KeyboardInterrupt

        model = new_model(_SMALL, 0, seed=0)
        return model, trained(model, material, _SMALL, 6, 0, folder, watch)

    model, whole = train(tmp_path / "whole")
    assert whole.points[-1].mean < whole.points[0].mean - 0.05
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", stop=4)
    _, resumed = train(tmp_path / "killed")
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)
    experts = model.model.layers[0].mlp.experts
    assert not experts.down_proj[4:].any() and not experts.gate_up_proj[4:].any()
    held = measured(model, material.held, _SMALL.top_k)
    use = routing_use({"a text": held["science text"], "b text": held["science text"]}, _SMALL)
    assert use.information == pytest.approx((0.0, 0.0), abs=1e-6)
    assert all(0 < experts < _SMALL.top_k for experts in use.experts)
    json.dumps([point.held for point in whole.points])


def test_profiles_grow() -> None:
    tiny, small, full = (PROFILES[name] for name in ("tiny", "small", "full"))
    assert tiny.steps < small.steps < full.steps
