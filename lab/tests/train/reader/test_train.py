"""Training on a tiny model: it learns, can be resumed, and merging changes nothing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from file_helper import reseal
from reader_samples import BIRTHS_RECIPE as RECIPE
from reader_samples import WORDS, said, write_llama
from reader_samples import train_births as train
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.errors import Conflict, InvalidArgument, ServerError
from expertrag.api.types import Passage, Sampling
from expertrag.llm import load_generator, prompt
from expertrag.llm.adapters.bundle import AdapterSettings, load_bundle
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.convert.upcycle import upcycle
from expertrag_lab.adapters import adapt
from expertrag_lab.convert.export import export

TESTS = Path(__file__).parents[4] / "tests"


@pytest.fixture(scope="module")
def bundle(tiny_llama: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "bundle"
    report = train(tiny_llama, dataset, out)
    assert min(point.mean for point in report.points) < report.points[0].mean - 0.5
    return out


def test_contents_of_a_bundle(bundle: Path) -> None:
    body = json.loads((bundle / "reader.json").read_text())
    assert body["settings"]["domains"] == ["encyclopedia", "legal"]
    assert {item["domain"] for item in body["training"]["sets"]} == {"encyclopedia", "legal"}
    assert "expertrag" not in (bundle / "adapters.safetensors").name
    assert "## " not in (bundle / "README.md").read_text()
    assert not bundle.with_name("bundle.partial").exists()
    made = load_bundle(bundle)
    assert made.settings.experts == ("shared", "encyclopedia", "legal", "base")
    assert {value.dtype for value in made.weights.values()} == {torch.bfloat16}


@pytest.mark.slow
def test_an_interrupted_training_gives_the_same_result(
    bundle: Path, tiny_llama: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        f"sys.path += [{str(Path(__file__).parent)!r}, {str(TESTS)!r}]\n"
        "from expertrag_lab.embedder.checkpoint import TrainingCheckpoint as Checkpoint\n"
        "from test_train import train\n"
        "saved = Checkpoint.save\n"
        "def save(self, step, best, about):\n"
        "    saved(self, step, best, about)\n"
        "    if step:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "Checkpoint.save = save\n"
        "train(*map(Path, sys.argv[1:4]))\n"
    )
    command = [sys.executable, "-c", script, str(tiny_llama), str(dataset), str(out)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not out.exists()
    train(tiny_llama, dataset, out)
    whole, resumed = (load_file(folder / "adapters.safetensors") for folder in (bundle, out))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_training_continues_from_a_reader(
    bundle: Path, tiny_llama: Path, dataset: Path, tmp_path: Path
) -> None:
    """Training starts from the reader's weights, and keeps the experts that it does not train."""
    start = load_bundle(bundle)
    recipe = replace(RECIPE, epochs=1, most_epochs=1, rank=3)
    report = train(tiny_llama, dataset, tmp_path / "more", recipe, ("technical",), start)
    alone = train(tiny_llama, dataset, tmp_path / "alone", recipe, ("technical",))
    assert report.points[0].dev["technical"] < alone.points[0].dev["technical"] - 0.5
    assert report.start == start.digest and alone.start == ""
    assert f"`{start.digest}`" in (tmp_path / "more" / "README.md").read_text()
    made = load_bundle(tmp_path / "more")
    assert made.settings.domains == ("encyclopedia", "legal", "technical")
    assert made.settings.rank == report.recipe.rank == start.settings.rank != 3
    kept = {name for name in start.weights if ".legal." in name or ".encyclopedia." in name}
    same = {name for name in start.weights if torch.equal(made.weights[name], start.weights[name])}
    assert kept == same


def test_a_reader_of_another_base_is_rejected_as_start(
    bundle: Path, dataset: Path, smollm_path: Path, tmp_path: Path
) -> None:
    base = write_llama(tmp_path / "other", smollm_path)
    (base / "config.json").write_text((base / "config.json").read_text() + "\n")
    with pytest.raises(Conflict, match="other files"):
        train(base, dataset, tmp_path / "b", start=load_bundle(bundle))
    assert not (tmp_path / "b.partial").exists()


def test_an_older_reader_is_a_start_but_cannot_be_served(
    bundle: Path, tiny_llama: Path, dataset: Path, tmp_path: Path
) -> None:
    """Older readers also have adapters of attention, which are dropped when training continues."""
    old = tmp_path / "old"
    shutil.copytree(bundle, old)
    weights = load_file(old / "adapters.safetensors")
    weights["model.layers.0.self_attn.q_proj.updates.shared.up"] = torch.ones(32, 2)
    save_file(weights, old / "adapters.safetensors")
    reseal(old / "adapters.safetensors")
    with pytest.raises(Conflict, match="older versions: train the reader again"):
        export(str(tiny_llama), old, tmp_path / "merged")
    recipe = replace(RECIPE, epochs=1, most_epochs=1)
    train(tiny_llama, dataset, tmp_path / "more", recipe, start=load_bundle(old))
    assert load_bundle(tmp_path / "more").weights.keys() == load_bundle(bundle).weights.keys()


def test_the_domain_name_base_is_reserved(tiny_llama: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="give the domain another name"):
        train(tiny_llama, dataset, tmp_path / "b", domains=("base",))
    assert not (tmp_path / "b.partial").exists()


def test_without_passages_it_is_the_base_bit_for_bit(
    bundle: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    """Compares with the base as a mixture, whose kernels round like those of the reader."""
    export(str(tiny_llama), bundle, tmp_path / "reader")
    upcycle(tiny_llama, tmp_path / "base")
    asked = prompt.write_closed_book("Where do ships go?")
    read = prompt.open_book("Where?", [Passage("ships", 0, "A painter of ships.", 0, 19, 1.0)])
    for native in (True, False):
        models = [
            TransformersGenerator.load(str(folder), dtype="bfloat16", native=native)
            for folder in (tmp_path / "base", tmp_path / "reader")
        ]
        for domain in (None, "legal", "base"):
            one, other = (said(model, asked, domain) for model in models)
            assert one == other
            one, other = (said(model, read, domain, from_passages=True) for model in models)
            assert one != other
        readings = [
            dict(model.read([(asked, "In the harbour.")], model.make_policy(Sampling(), "legal")))[
                0
            ].log_probabilities.tolist()
            for model in models
        ]
        assert readings[0] == readings[1]


@pytest.mark.parametrize("domain", ["shared", "encyclopedia", "legal", "base"])
def test_merging_changes_nothing(
    domain: str, bundle: Path, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, the merged weights give the logits of the base with its adapters."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor)
    names = export(str(tiny_llama), bundle, tmp_path / "mixture")
    export(str(tiny_llama), bundle, tmp_path / "plain", domain=domain)
    monkeypatch.undo()
    plain, mixture = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name, dtype=torch.float32)
        for name in ("plain", "mixture")
    )
    assert plain.config.model_type == "llama"
    assert mixture.config.expert_names == list(names) == ["shared", "encyclopedia", "legal", "base"]
    for layer in mixture.model.layers:  # every token to this expert, as routing by text does
        experts, place = layer.mlp.experts, names.index(domain)
        for weights in (experts.gate_up_proj, experts.down_proj):
            weights.data = weights.data[place].repeat(len(names), 1, 1)
    ids, expected = _logits(tiny_llama, bundle, domain)
    with torch.inference_mode():
        torch.testing.assert_close(plain(ids).logits, expected, atol=2e-4, rtol=1e-4)
        torch.testing.assert_close(mixture(ids).logits, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("domain", [None, "legal"])
def test_a_merged_model_answers(
    domain: str | None, bundle: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    """It is recognized as a reader, both as a mixture and as a single expert."""
    export(str(tiny_llama), bundle, tmp_path / "merged", domain=domain)
    generator = load_generator(str(tmp_path / "merged"))
    assert ReadingPolicy.of(generator).reader
    asked = prompt.open_book("Where?", [Passage("ships", 0, "A painter of ships.", 0, 19, 1.0)])
    with closing(generator.begin(asked, Sampling(max_tokens=4), from_passages=True)) as session:
        assert "".join(session.stream()) and session.completion_tokens <= 4
        assert session.doubt is not None and 0 < session.doubt < 1


def _logits(base: Path, bundle: Path, domain: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the base with its adapters."""
    made, dense = load_bundle(bundle), load_dense(base)
    adapters = adapt(dense.model, made.settings)
    adapters.load(made.weights)
    adapters.use(domain)
    ids = torch.randint(20, WORDS, (2, 24), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return ids, dense.model(ids).logits


def test_experts_differ(bundle: Path, tiny_llama: Path) -> None:
    _, shared = _logits(tiny_llama, bundle, "shared")
    _, legal = _logits(tiny_llama, bundle, "legal")
    assert (shared - legal).abs().max() > 1e-3


def test_untrained_updates_change_nothing(tiny_llama: Path) -> None:
    dense = load_dense(tiny_llama)
    ids = torch.arange(20, 60)[None]
    with torch.inference_mode():
        before = dense.model(ids).logits
        adapt(dense.model, AdapterSettings(("legal",))).use("legal")
        assert torch.equal(dense.model(ids).logits, before)


def test_another_base_is_rejected(bundle: Path, smollm_path: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="other files"):
        export(str(smollm_path), bundle, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_an_unknown_expert_is_rejected(bundle: Path, tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="choose one of shared, encyclopedia, legal, base"):
        export(str(tiny_llama), bundle, tmp_path / "merged", domain="medicine")


def test_a_damaged_bundle_is_rejected(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "damaged")
    (tmp_path / "damaged" / "adapters.safetensors").write_bytes(b"nothing")
    with pytest.raises(ServerError, match="damaged"):
        load_bundle(tmp_path / "damaged")


def test_too_few_examples_are_rejected(tiny_llama: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="encyclopedia gives 4 reading examples"):
        train(
            tiny_llama,
            dataset,
            tmp_path / "b",
            replace(RECIPE, most_examples=5, most_epochs=1, epochs=1),
        )
