"""One expert per sequence: the domain's, or the shared one for others; on both back ends."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from file_helper import change_json
from model_fixtures import TinyFolder, text_of
from safetensors.torch import load_file, save_file

from expertrag.api.types import Sampling
from expertrag.llm import Message
from expertrag.llm.backends.transformers_backend import TransformersGenerator

_QUESTION = [Message("user", "What is the harbour for?")]
_GREEDY = Sampling(max_tokens=12, frequency_penalty=0.0)


@pytest.fixture(scope="module")
def named(tiny_folder: TinyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a mixture whose experts have names."""
    folder = shutil.copytree(tiny_folder("mixtral"), tmp_path_factory.mktemp("named") / "model")
    change_json(folder / "config.json", expert_names=["law", "shared", "finance", "science"])
    return folder


@pytest.fixture(scope="module")
def only_first(named: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the same mixture with all experts replaced by the first one."""
    folder = tmp_path_factory.mktemp("first") / "model"
    shutil.copytree(named, folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name in weights:
        if ".experts.0." in name:
            for expert in range(1, 8):
                if (other := name.replace(".0.", f".{expert}.")) in weights:
                    weights[other] = weights[name].clone()
        elif ".experts." in name and weights[name].ndim == 3:
            weights[name] = weights[name][:1].repeat(weights[name].shape[0], 1, 1)
    save_file(weights, path, {"format": "pt"})
    return folder


def _answer(generator: TransformersGenerator, domain: str | None) -> str:
    policy = generator.make_policy(_GREEDY, domain)
    return text_of(generator.begin(_QUESTION, _GREEDY, policy=policy))


@pytest.mark.parametrize("native", [True, False])
def test_a_domain_has_its_own_expert(named: Path, only_first: Path, native: bool) -> None:
    def load(folder: Path) -> TransformersGenerator:
        return TransformersGenerator.load(str(folder), dtype="float32", native=native)

    generator = load(named)
    assert generator.experts[:2] == ("law", "shared")
    law, shared = _answer(generator, "law"), _answer(generator, None)
    assert law == _answer(load(only_first), "law")
    assert law != shared == _answer(generator, "cooking")


def test_both_back_ends_agree(named: Path) -> None:
    ours, theirs = (
        TransformersGenerator.load(str(named), dtype="float32", native=native)
        for native in (True, False)
    )
    for domain in ("law", None):
        assert _answer(ours, domain) == _answer(theirs, domain)
    readings = {domain: _readings((ours, theirs), domain) for domain in ("law", None)}
    for one, other in readings.values():
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(readings["law"][0], readings[None][0], atol=1e-3)


def _readings(
    generators: Sequence[TransformersGenerator], domain: str | None
) -> list[torch.Tensor]:
    """Log probabilities of a text, as an answer of a domain's expert."""
    items = [(_QUESTION, "It is old.")]
    return [
        torch.from_numpy(reading.log_probabilities)
        for generator in generators
        for _, reading in generator.read(items, generator.make_policy(_GREEDY, domain))
    ]
