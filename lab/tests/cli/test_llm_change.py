"""``expertrag llm prune`` and ``merge``: from a mixture and a profile to a model that answers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from command_line import Run
from file_helper import change_json
from made_mixtures import texts
from model_fixtures import text_of
from profile_samples import write_tiny_mixture
from reader_samples import write_llama
from transformers import AutoModelForCausalLM

from expertrag.api.types import Sampling
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.fingerprint import fingerprint
from expertrag_lab.cli import llm_change
from expertrag_lab.surgery.changes.denominators import Denominators
from expertrag_lab.surgery.mixture import load_mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method
from expertrag_lab.surgery.profiling.observe import observe
from expertrag_lab.surgery.profiling.profile_folder import ProfileCard, save_profile


@pytest.fixture(scope="module")
def mixture(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random mixture of 5 experts; do not change it."""
    return write_tiny_mixture(tmp_path_factory.mktemp("mixture") / "tiny", smollm_path)


def _profile(model: Path, folder: Path, domains: Sequence[str] = ("law", "art")) -> Path:
    """Write a profile of random texts of each domain."""
    loaded = load_mixture(str(model))
    used = {name: observe(loaded, texts(2, seed)) for seed, name in enumerate(domains)}
    numbers = [layer.number for layer in loaded.layers]
    made = ExpertProfile(fingerprint(model), numbers, used)
    card = ProfileCard(
        "tiny", loaded.num_experts, 0, loaded.top_k, dict.fromkeys(domains, 2), ("texts",), 0.1, 24
    )
    folder.mkdir()
    save_profile(made, card, folder)
    return folder


@pytest.fixture(scope="module")
def profile(mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its profile; do not change it."""
    return _profile(mixture, tmp_path_factory.mktemp("profile") / "tiny")


def _serve(model: Path) -> None:
    """Let our engine answer with a model."""
    generator = TransformersGenerator.load(str(model), dtype="float32")
    assert isinstance(generator._network, NativeNetwork)
    text_of(generator.begin([Message("user", "Who?")], Sampling(max_tokens=8)))


def test_a_pruned_model_is_a_checkpoint_that_is_served(
    run: Run, mixture: Path, profile: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small"
    prune = ("llm", "prune", mixture, "--profile", profile, "--out", out)
    ran = run(*prune, "--keep", "0.5", "--method", "reap", "--domain", "law", "--json").ok()
    made = ran.json()
    assert made["model"] == str(out)
    assert made["before"]["experts"] == 5 and made["after"]["experts"] == 3
    assert made["step"]["method"] == "reap" and made["step"]["domains"] == ["law"]
    assert made["step"]["source"] == fingerprint(mixture)
    assert [len(kept) for kept in made["step"]["experts"]] == [3, 3, 3]
    assert made["after"]["bytes"] < made["before"]["bytes"]
    assert "prune layers: 3/3" in ran.err and "write model: 1/1" in ran.err
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.config.num_experts == 3 and model.dtype == torch.float32
    _serve(out)
    run(*prune, "--keep", "3").fails(6, "exists; delete it")


def test_a_merged_model_is_a_checkpoint_that_is_served(
    run: Run, mixture: Path, profile: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small"
    merge = ("llm", "merge", mixture, "--profile", profile, "--out", out)
    ran = run(*merge, "--groups", "3", "--per-token", "1").ok()
    assert "experts of a layer  5 -> 3" in ran.out and ran.out.endswith(f"wrote {out}\n")
    assert "experts per token   2 -> 1" in ran.out
    step = json.loads((out / "config.json").read_text())["expertrag_surgery"][0]
    assert step["kind"] == "merge" and step["domains"] == ["law", "art"]
    flat = [sorted(itertools.chain(*groups)) for groups in step["experts"]]
    assert flat == [[0, 1, 2, 3, 4]] * 3
    _serve(out)


def test_random_experts_are_reproducible(
    run: Run, mixture: Path, profile: Path, tmp_path: Path
) -> None:
    prune = ("llm", "prune", mixture, "--profile", profile, "--method", "random", "--keep", "2")
    kept = [
        run(*prune, "--seed", seed, "--out", tmp_path / name, "--json").json()["step"]["experts"]
        for name, seed in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    assert kept[0] == kept[1] != kept[2]


@pytest.mark.parametrize(
    ("flags", "reported"),
    [
        (("--keep", "some"), "neither a share, such as 0.5"),
        (("--keep", "0"), "use 1 to 5"),
        (("--keep", "6"), "use 1 to 5"),
        (("--keep", "1.5"), "a share above 0"),
        (("--keep", "3", "--domain", "sport"), "law, art"),
        (("--keep", "3", "--method", "best"), "'best' is not one of"),
    ],
)
def test_impossible_requests_are_reported(
    run: Run, mixture: Path, profile: Path, tmp_path: Path, flags: tuple[str, ...], reported: str
) -> None:
    out = tmp_path / "small"
    given = ("llm", "prune", mixture, "--profile", profile, "--out", out, *flags)
    run(*given).fails(2, reported)
    assert not out.exists()


def test_models_and_profiles_that_do_not_fit_are_reported(
    run: Run, mixture: Path, profile: Path, smollm_path: Path, tmp_path: Path
) -> None:
    given = ("--keep", "2", "--out", tmp_path / "small")
    dense = write_llama(tmp_path / "dense", smollm_path)
    run("llm", "prune", dense, "--profile", profile, *given).fails(6, "made of another model")
    run("llm", "prune", mixture, "--profile", tmp_path, *given).fails(2, "is not a profile")
    run("llm", "prune", tmp_path / "none", "--profile", profile, *given).fails(9)
    packed = tmp_path / "packed"
    run("llm", "pack", mixture, "--dtype", "int8", "--out", packed).ok()
    run("llm", "prune", packed, "--profile", profile, *given).fails(2, "the checkpoint")


def test_named_experts_are_pruned_but_not_merged(
    run: Run, smollm_path: Path, tmp_path: Path
) -> None:
    model = write_tiny_mixture(tmp_path / "named", smollm_path, "mixtral")
    names = ["shared", "law", "art", "news", "base"]
    change_json(model / "config.json", expert_names=names)
    profile = _profile(model, tmp_path / "profile")
    given = (model, "--profile", profile, "--domain", "art", "--out", tmp_path / "small")
    run("llm", "merge", *given, "--groups", "3").fails(2, "expertrag llm prune")
    run("llm", "prune", *given, "--keep", "2").fails(2, "or --force")
    run("llm", "prune", *given, "--keep", "3", "--force").ok()
    assert len(json.loads((tmp_path / "small" / "config.json").read_text())["expert_names"]) == 3


def test_the_choices_are_those_of_the_surgery() -> None:
    assert tuple(Method) == llm_change.METHODS
    assert tuple(Denominators) == llm_change.DENOMINATORS
