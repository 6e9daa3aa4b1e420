"""Bundles: experts of several domains in a small folder, on the base they were trained on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedder.conftest import DOMAINS, Killed, domain_source
from encoder_fixtures import Encoders
from file_helper import change_json

from expertrag_index.types import silent
from expertrag_lab.embedder.base import BaseModel, base_model
from expertrag_lab.embedder.bundle import train_bundle
from expertrag_lab.embedder.card import BundleReport
from expertrag_lab.embedder.recipe import Recipe
from expertrag_lab.embedder.types import Pair, Source
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.errors import EmbedderError, OutputTakenError, TrainingError
from expertrag_retriever.experts.settings import GENERAL

RECIPE = Recipe(epochs=8, batch=16, learning_rate=5e-3, rank=4, max_tokens=32, evaluations=3)
SOURCES = {domain: [domain_source(domain, 180)] for domain in DOMAINS}
TREES = {"trees": SOURCES["trees"]}


@pytest.fixture(scope="module")
def trained(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BundleReport]:
    out = tmp_path_factory.mktemp("bundle") / "experts"
    return out, train_bundle(SOURCES, base.base, base.load, RECIPE, out, silent)


def test_a_bundle_is_small_and_describes_itself(trained: tuple[Path, BundleReport]) -> None:
    folder, report = trained
    names = {path.name for path in folder.iterdir()}
    assert {"experts.safetensors", "experts.json", "README.md"} <= names
    assert "model.safetensors" not in names
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.iterdir())
    assert all(expert.helps for expert in report.experts)
    card = (folder / "README.md").read_text()
    for expert in report.experts:
        assert f"| {expert.domain} | {expert.pairs} (`{expert.data}`) |" in card
        (gained,) = expert.after.values()
        assert f"-> {gained:.3f} |" in card
    assert report.router is not None
    assert sum(report.router.use) == pytest.approx(1.0)
    assert "It assigns them to trees (" in card
    assert "expertrag train embedder" in card
    written = json.loads((folder / "experts.json").read_text())
    assert written["settings"]["domains"] == ["trees", "metals"]
    assert written["base"] == {"name": "tiny", "fingerprint": report.base.fingerprint}
    assert not folder.with_name("experts.partial").exists()


def test_experts_serve_only_their_own_domains(
    trained: tuple[Path, BundleReport], base: BaseModel
) -> None:
    folder, _ = trained
    plain = load_embedder(base.source)
    embedder = load_embedder(base.source, experts=folder)
    texts = list(SOURCES["trees"][0].corpus.values())[:20]
    general = plain.encode_documents(texts)
    assert np.array_equal(embedder.encode_documents(texts, GENERAL), general)
    assert np.array_equal(embedder.encode_documents(texts, "no such domain"), general)
    own = {domain: embedder.encode_documents(texts, domain) for domain in DOMAINS}
    assert not np.allclose(own["trees"], general, atol=1e-3)
    assert not np.allclose(own["trees"], own["metals"], atol=1e-3)
    assert embedder.fingerprint != plain.fingerprint


def test_the_router_tells_its_domains_apart(
    trained: tuple[Path, BundleReport], base: BaseModel
) -> None:
    folder, report = trained
    assert report.router is not None and report.router.accuracy > 0.9
    embedder = load_embedder(base.source, experts=folder)
    for domain in DOMAINS:
        texts = list(SOURCES[domain][0].corpus.values())[:40]
        routed = embedder.encode_documents(texts)
        own = embedder.encode_documents(texts, domain)
        assert np.median((routed * own).sum(axis=1)) > 0.99


@pytest.mark.parametrize("name", ["experts.json", "experts.safetensors"])
def test_rejects_a_damaged_bundle(
    trained: tuple[Path, BundleReport], base: BaseModel, tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "bundle"))
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    with pytest.raises(EmbedderError, match="damaged"):
        load_embedder(base.source, experts=folder)


def test_a_killed_training_keeps_the_experts_that_are_done(
    base: BaseModel, tmp_path: Path, trained: tuple[Path, BundleReport]
) -> None:
    def kill(stage: str, _done: int, _total: int | None) -> None:
        if stage.startswith("metals"):
            raise Killed

    out = tmp_path / "experts"
    with pytest.raises(Killed):
        train_bundle(SOURCES, base.base, base.load, RECIPE, out, kill)
    assert not out.exists()
    stages: list[str] = []
    again = train_bundle(
        SOURCES, base.base, base.load, RECIPE, out, lambda stage, *_: stages.append(stage)
    )
    assert not any(stage.startswith("trees") for stage in stages)
    assert [expert.points for expert in again.experts] == [
        expert.points for expert in trained[1].experts
    ]


def test_adding_a_domain_leaves_the_others_unchanged(
    trained: tuple[Path, BundleReport], base: BaseModel, tmp_path: Path
) -> None:
    old, report = trained
    stages: list[str] = []
    [metals] = SOURCES["metals"]
    polished = {name: f"polished {text}" for name, text in metals.corpus.items()}
    sources = {**SOURCES, "gems": [replace(metals, name="gems", corpus=polished)]}
    out = tmp_path / "experts"
    grown = train_bundle(
        sources,
        *(base.base, base.load, RECIPE, out, lambda stage, *_: stages.append(stage)),
        reuse=old,
    )
    assert not any(stage.startswith(("trees", "metals")) for stage in stages)
    assert grown.experts[:2] == report.experts
    before, after = (load_embedder(base.source, experts=folder) for folder in (old, out))
    for domain in DOMAINS:  # so that a store keeps their vectors
        assert after.fingerprint_of_expert(domain) == before.fingerprint_of_expert(domain)


def test_experts_of_another_base_are_neither_loaded_nor_reused(
    trained: tuple[Path, BundleReport], encoder_folders: dict[str, Path], tmp_path: Path
) -> None:
    other = base_model(str(encoder_folders["mpnet"]), "other")
    with pytest.raises(EmbedderError, match="trained on a different version of tiny"):
        load_embedder(other.source, experts=trained[0])
    with pytest.raises(EmbedderError, match="trained on a different version of tiny"):
        train_bundle(
            TREES, *(other.base, other.load, RECIPE, tmp_path / "out", silent), reuse=trained[0]
        )


def test_rejects_the_router_of_other_experts(
    trained: tuple[Path, BundleReport], base: BaseModel, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "bundle"))
    change_json(folder / "router.json", domains=["metals", "trees"])
    with pytest.raises(EmbedderError, match=r"does not match its experts \(trees, metals\)"):
        load_embedder(base.source, experts=folder)


def test_rejects_a_language_that_the_base_does_not_know(base: BaseModel, tmp_path: Path) -> None:
    corpus = {f"d{n}": f"第{n}条 合同的违约责任和赔偿金额的规定" for n in range(60)}
    pairs = tuple(Pair(f"第{n}条 违约", f"d{n}") for n in range(60))
    with pytest.raises(TrainingError, match=r"domain law: tiny does not know \d+% of its words"):
        train_bundle(
            {"law": [Source("law", corpus, pairs)]},
            *(base.base, base.load, RECIPE, tmp_path / "out", silent),
        )
    assert not (tmp_path / "out").exists()


def test_one_training_at_a_time(base: BaseModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with work_folder(out), pytest.raises(OutputTakenError, match="is under way"):
        train_bundle(TREES, base.base, base.load, RECIPE, out, silent)


def test_an_expert_that_does_not_help_is_left_out(base: BaseModel, tmp_path: Path) -> None:
    idle = replace(RECIPE, learning_rate=1e-12, epochs=1, evaluations=1)
    out = tmp_path / "experts"
    with pytest.raises(TrainingError, match="no expert beats the base model"):
        train_bundle(TREES, base.base, base.load, idle, out, silent)
    assert not out.exists()


def test_rejects_a_base_with_experts(encoder: Encoders, tmp_path: Path) -> None:
    from expertrag_retriever.experts.module import with_experts
    from expertrag_retriever.experts.settings import ExpertSettings

    model = encoder("bert")
    with_experts(model, ExpertSettings(("a",)))
    model.save(str(tmp_path))
    with pytest.raises(EmbedderError, match="already has experts"):
        base_model(str(tmp_path), "mine")
