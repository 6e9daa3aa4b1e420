"""Light experts that are trained: closer to the whole mixture than without, and reproducible."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from file_helper import change_json
from light_samples import light_of, whole_of
from made_mixtures import layers_of, logits, mixture_of, profile_of, same_weights, texts
from profile_samples import rows, write_tiny_mixture
from safetensors.torch import load_file

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.light_file import LIGHT_FILE
from expertrag_index.types import Progress, silent
from expertrag_lab.surgery.changes.compress_light import (
    LightMixture,
    compress_light,
    light_experts_of,
)
from expertrag_lab.surgery.changes.light_training import (
    LightRecipe,
    LightTrainer,
    first_vectors,
)
from expertrag_lab.surgery.changes.prune import prune
from expertrag_lab.surgery.mixture import Mixture, load_mixture
from expertrag_lab.surgery.profiling.importance import Method
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt
from expertrag_lab.surgery.retrieved_prompts import parse_prompt

_RECIPE = LightRecipe(neurons=2, steps=6, batch=2, evaluations=3)


def _trained(mixture: Mixture, folder: Path, recipe: LightRecipe) -> list[torch.Tensor]:
    result = LightTrainer(mixture, 1, recipe).train(texts(6), folder, silent)
    return list(result.weights.values())


def test_the_loss_is_the_divergence_from_the_whole_mixture(tmp_path: Path) -> None:
    mixture, recipe = whole_of("olmoe"), replace(_RECIPE, steps=1, held=0.5, seed=4)
    sequences = [list(range(3, 9)), list(range(20, 50))]
    seen: list[int] = []

    def told(_stage: str, done: int, _total: int | None) -> None:
        seen.append(done)

    result = LightTrainer(mixture, 2, recipe).train(sequences, tmp_path / "work", told)
    dropped = light_of(mixture, 0.0)
    found = []
    for tokens in sequences:
        ids = torch.tensor([tokens])
        with torch.inference_mode():
            whole, less = (
                model.model(input_ids=ids).logits[0].double().log_softmax(-1)
                for model in (mixture, dropped)
            )
        found.append(float((whole.exp() * (whole - less)).sum(-1).mean()))
    assert result.before.held == pytest.approx(
        min(found, key=lambda x: abs(x - result.before.held)), rel=1e-4
    )
    other = next(value for value in found if abs(value / result.before.held - 1) > 1e-3)
    assert result.points[1].loss == pytest.approx(other, rel=1e-4)
    assert seen[-1] == 1


def test_constants_of_experts_are_recovered_and_weights_stay(tmp_path: Path) -> None:
    """Experts that only add their bias, which is what a shift can say."""
    mixture, untouched = whole_of("gpt_oss"), whole_of("gpt_oss")
    for each in (mixture, untouched):
        for layer in layers_of(each):
            layer.experts.down_proj.zero_()
    exact = [torch.zeros(8, 3, 32) for _ in mixture.layers]
    for own, layer in zip(exact, layers_of(mixture), strict=True):
        own[:, 1] = layer.experts.down_proj_bias
    torch.testing.assert_close(logits(mixture.with_light(exact, 2)), logits(mixture))
    trainer = LightTrainer(mixture, 2, replace(_RECIPE, steps=60, evaluations=3))
    result = trainer.train(texts(100), tmp_path / "work", silent)
    assert result.after.held < 0.5 * result.before.held
    assert same_weights(mixture, untouched)
    assert torch.equal(logits(mixture), logits(untouched))  # it runs without light experts again


@pytest.mark.slow
def test_neurons_of_experts_are_recovered(tmp_path: Path) -> None:
    """Experts of which all but two neurons are silent, so that light ones can say all of it."""
    mixture = whole_of("olmoe")
    for layer in layers_of(mixture):
        layer.experts.down_proj[..., 2:] = 0.0
        own = first_vectors(layer.experts, 2)
        gate, up = layer.experts.gate_up_proj.chunk(2, dim=1)
        assert not own[:, :3].any() and not own[:, 7:].any()
        assert {*map(tuple, own[:, 3:5].flatten(0, 1).tolist())} == {
            *map(tuple, gate[:, :2].flatten(0, 1).tolist())
        }
        for expert in range(len(own)):
            place = int((gate[expert, :2] == own[expert, 3]).all(-1).nonzero())
            assert torch.equal(own[expert, 5], up[expert, place])
    recipe = replace(_RECIPE, steps=150, learning_rate=0.01)
    with_neurons, without = (
        LightTrainer(mixture, 2, each).train(texts(60), tmp_path / str(each.neurons), silent)
        for each in (recipe, replace(recipe, neurons=0))
    )
    assert with_neurons.before.held == pytest.approx(without.before.held)
    assert with_neurons.after.held < 0.5 * without.after.held


def test_a_killed_training_continues_to_the_same_vectors(tmp_path: Path) -> None:
    mixture = whole_of("mixtral")
    wanted = _trained(mixture, tmp_path / "whole", _RECIPE)

    class Killed(Exception):
        pass

    def killing(_stage: str, done: int, _total: int | None) -> None:
        if done == 5:  # after the evaluation at 4
            raise Killed

    with pytest.raises(Killed):
        LightTrainer(mixture, 1, _RECIPE).train(texts(6), tmp_path / "killed", killing)
    assert (tmp_path / "killed" / "checkpoint.json").is_file()
    again = _trained(mixture, tmp_path / "killed", _RECIPE)
    assert all(torch.equal(*pair) for pair in zip(again, wanted, strict=True))


@pytest.fixture(scope="module")
def tiny(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random mixture, two experts a token; do not change it."""
    return write_tiny_mixture(tmp_path_factory.mktemp("mixture") / "tiny", smollm_path)


def _traffic(count: int = 5, words: int = 20) -> list[TrafficPrompt]:
    return [TrafficPrompt(parse_prompt(row, row["id"])) for row in rows(count, words=words)]


def _compressed(
    model: Path, out: Path, traffic: list[TrafficPrompt], report: Progress = silent
) -> LightMixture:
    return compress_light(
        str(model), traffic, out, report, per_token=1, most_tokens=8, recipe=_RECIPE
    )


def test_a_folder_says_what_was_done(tiny: Path, tmp_path: Path) -> None:
    traffic = [*_traffic(), *_traffic(1, words=4000)]
    made = _compressed(tiny, tmp_path / "light", traffic)
    assert (made.prompts, made.skipped, made.light_experts) == (5, 1, 1)
    assert made.divergence <= made.dropped
    assert made.changed.before.experts_per_token == 2 and made.changed.after.experts_per_token == 1
    vectors = load_file(tmp_path / "light" / LIGHT_FILE)
    assert {tuple(each.shape) for each in vectors.values()} == {(5, 9, 32)}
    more = made.changed.after.parameters - made.changed.before.parameters
    assert more == sum(each.numel() for each in vectors.values()) == 3 * 5 * 9 * 32
    config = json.loads((tmp_path / "light" / "config.json").read_text())
    assert config["num_experts_per_tok"] == 2 and config["num_light_experts_per_tok"] == 1
    assert config["num_light_neurons"] == 2
    [step] = config["expertrag_surgery"]
    assert step["kind"] == "light" and step["domains"] == ["births"]
    assert step["source"] == fingerprint(tiny) and step["experts"] == [[0, 1, 2, 3, 4]] * 3
    card = (tmp_path / "light" / "README.md").read_text()
    assert "a token uses 1, instead of 2" in card and "transformers does not" in card
    loaded = load_mixture(str(tmp_path / "light"))
    assert loaded.light_experts == 1
    assert same_weights(loaded, load_mixture(str(tiny)))
    assert not (tmp_path / "light.partial").exists()
    with pytest.raises(Conflict, match="delete it"):
        _compressed(tiny, tmp_path / "light", traffic)


def test_a_killed_run_continues_to_the_same_file(tiny: Path, tmp_path: Path) -> None:
    _compressed(tiny, tmp_path / "whole", _traffic())

    class Killed(Exception):
        pass

    def killing(stage: str, done: int, _total: int | None) -> None:
        if done == 5 and "held-out" in stage:
            raise Killed

    with pytest.raises(Killed):
        _compressed(tiny, tmp_path / "light", _traffic(), killing)
    stages: list[str] = []
    _compressed(tiny, tmp_path / "light", _traffic(), lambda stage, *_: stages.append(stage))
    assert not any("prompts" in stage for stage in stages)  # their tokens were kept
    files = [(tmp_path / name / LIGHT_FILE).read_bytes() for name in ("whole", "light")]
    assert files[0] == files[1]


def test_prompts_that_do_not_fit_are_too_few(tiny: Path, tmp_path: Path) -> None:
    short = shutil.copytree(tiny, tmp_path / "short")
    change_json(short / "config.json", max_position_embeddings=40)
    with pytest.raises(InvalidArgument, match="0 of 5 prompts fit"):
        _compressed(short, tmp_path / "light", _traffic())
    assert not (tmp_path / "light").exists()


def test_mixtures_that_cannot_have_light_experts() -> None:
    mixture = whole_of("olmoe")
    assert light_experts_of(mixture, 3) == 1
    for per_token in (0, 4, 5):
        with pytest.raises(InvalidArgument, match="fewer than the 4"):
            light_experts_of(mixture, per_token)
    light = light_of(mixture)
    with pytest.raises(InvalidArgument, match="has light experts already"):
        light_experts_of(light, 1)
    with pytest.raises(InvalidArgument, match="compress the result"):
        prune(light, profile_of(mixture), keep=4, method=Method.REAP)
    named = mixture_of("mixtral", expert_names=["shared", "law", "art", "news", "base"])
    with pytest.raises(InvalidArgument, match="an expert for each domain"):
        light_experts_of(named, 1)
    with pytest.raises(InvalidArgument, match="cannot have 99 neurons: experts have"):
        LightTrainer(mixture, 1, LightRecipe(neurons=99))
