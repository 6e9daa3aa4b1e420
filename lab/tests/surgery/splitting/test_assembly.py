"""A split model is the dense model, if its tokens use all experts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dense_samples import DENSE_FAMILIES, SIZES, dense_of, neurons, splits_of, write_dense
from made_mixtures import IDS, engine_logits, layers_of, logits, texts
from transformers import AutoModelForCausalLM

from expertrag.api.errors import InvalidArgument
from expertrag_kernels.transformers import NAME
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.splitting.assembly import LARGEST_LOGIT, assemble
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes
from expertrag_lab.surgery.splitting.splittable import load_splittable

_ALL = SplitSizes(SIZES.experts, SIZES.shared, SIZES.routed)


def _dense_logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS[None]).logits[0]
    return found


def _split(family: str, sizes: SplitSizes) -> tuple[Any, Mixture]:
    dense = dense_of(family)
    splits = splits_of(dense, texts(4), sizes)
    return dense.model, assemble(dense, splits, sizes, {"own": 1})


@pytest.mark.parametrize("family", DENSE_FAMILIES)
def test_with_all_experts_the_logits_are_those_of_the_dense_model(family: str) -> None:
    """Equal up to rounding, not bit for bit: weights are 1 ± 2**-13, and sums of parts are rounded.

    Routers that do not tell experts apart have weights of exactly 1, which leaves the rounding.
    """
    model, mixture = _split(family, _ALL)
    wanted = _dense_logits(model)
    scale = float(wanted.std())
    assert float((logits(mixture) - wanted).abs().max()) < 2e-3 * scale
    torch.testing.assert_close(engine_logits(mixture.model), logits(mixture), atol=1e-4, rtol=1e-4)
    for layer in layers_of(mixture):
        layer.router.weight.data.zero_()
    assert float((logits(mixture) - wanted).abs().max()) < 2e-5 * scale


@pytest.mark.parametrize("family", ("llama", "qwen2", "qwen3"))
def test_a_neuron_keeps_its_weights_bit_for_bit(family: str) -> None:
    model, mixture = _split(family, SIZES)
    for dense, layer in zip(model.model.layers, layers_of(mixture), strict=True):
        gate, up = layer.experts.gate_up_proj.chunk(2, dim=1)  # [E, W, H]
        routed = torch.cat([gate, up, layer.experts.down_proj.transpose(1, 2)], dim=2)
        found = torch.cat([neurons(layer.block.shared_experts), routed.flatten(0, 1)])
        wanted = neurons(dense.mlp)
        assert torch.equal(found[found[:, 0].argsort()], wanted[wanted[:, 0].argsort()])


@pytest.mark.parametrize("family", ("llama", "qwen2", "qwen3"))
def test_routers_choose_by_the_fitted_scores_and_weigh_with_ones(family: str) -> None:
    dense = dense_of(family)
    splits = splits_of(dense, texts(4))
    mixture = assemble(dense, splits, SIZES, {})
    for split, layer in zip(splits, layers_of(mixture), strict=True):
        rows = torch.randn(200, 32)
        scores = rows @ split.weight.T + split.bias
        logit, weights, index = layer.router(rows)
        largest = scores.gather(1, index).min(dim=1).values
        wanted = scores.topk(SIZES.per_token, dim=1).values[:, -1]
        spread = float(scores.std())
        assert float((wanted - largest).max()) < 0.01 * spread  # of scores that are nearly equal
        assert float((weights - 1).abs().max()) < float(logit.abs().max())
        kept = LARGEST_LOGIT / split.scale
        torch.testing.assert_close(logit, rows @ split.weight.T * kept, atol=1e-7, rtol=1e-3)


def test_fewer_experts_change_the_logits_and_the_engine_agrees() -> None:
    model, mixture = _split("qwen2", SIZES)
    assert float((logits(mixture) - _dense_logits(model)).abs().max()) > 0.01
    torch.testing.assert_close(engine_logits(mixture.model), logits(mixture), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_mixture_loads_as_it_was(
    dtype: torch.dtype, short_tokenizer: Path, tmp_path: Path
) -> None:
    made = tmp_path / "dense"
    write_dense(made, short_tokenizer, "llama 3's angles", dtype, tie_word_embeddings=True)
    dense = load_splittable(str(made))
    dense.model.config.update({"reader_prompts": "abc"})
    mixture = assemble(dense, splits_of(dense, texts(4)), SIZES, {"own": [1]})
    mixture.save(tmp_path / "split", "# card\n")
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "split")
    loaded.set_experts_implementation(NAME)
    assert loaded.dtype == dtype and loaded.config.tie_word_embeddings
    assert (loaded.config.own, loaded.config.reader_prompts) == ([1], "abc")
    assert loaded.config.rope_parameters["partial_rotary_factor"] == 1.0
    assert loaded.model.layers[0].mlp.gate.weight.dtype == torch.float32
    states = mixture.model.state_dict(), loaded.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert torch.equal(logits(Mixture(loaded, None, "again", "MIT")), logits(mixture))


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("mistral in windows", "windows of 70 tokens"),
        ("llama with biases", "has biases"),
        ("olmoe", "a mixture already"),
        ("mixtral", "the experts of .* differ"),
        ("granite", "of type granite; give a dense model of type llama"),
    ],
)
def test_what_cannot_be_split_is_refused(
    family: str, words: str, short_tokenizer: Path, tmp_path: Path
) -> None:
    write_dense(tmp_path / "dense", short_tokenizer, family)
    with pytest.raises(InvalidArgument, match=words):
        load_splittable(str(tmp_path / "dense"))
