"""Distillation: a plain model with the vectors of a bundle's experts, the same after a kill."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from embedder.conftest import DOMAINS, Killed, domain_source
from encoder_fixtures import KINDS, Encoders

from expertrag_index.types import silent
from expertrag_lab.embedder.base import BaseModel, base_model
from expertrag_lab.embedder.distil import distil
from expertrag_lab.embedder.merge import mean_update, merge
from expertrag_lab.embedder.student import StudentRecipe
from expertrag_lab.embedder.student_card import StudentReport
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.errors import EmbedderError, TrainingError
from expertrag_retriever.experts.bundle import base_of
from expertrag_retriever.experts.linear import ExpertLinear
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import ExpertForm, ExpertSettings
from expertrag_retriever.experts.storage import save_experts
from expertrag_retriever.experts.surgery import expert_layers

RECIPE = StudentRecipe(
    epochs=3, batch=16, learning_rate=5e-3, max_tokens=32, evaluations=3, rank=8, most_pairs=100
)
SOURCES = {domain: [domain_source(domain, 120)] for domain in DOMAINS}


@pytest.fixture(scope="module", params=list(ExpertForm))
def bundle(
    base: BaseModel, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """Two experts that differ from the base and from each other, trained or not."""
    folder = tmp_path_factory.mktemp("bundle")
    settings = ExpertSettings(DOMAINS, request.param, rank=4)
    torch.manual_seed(1)
    module = with_experts(base.load(), settings)
    for _, layer in expert_layers(module.model):
        part = layer.second if settings.form is ExpertForm.LOW_RANK else layer.first
        part.data += 0.3 * torch.randn_like(part)
    save_experts(module.model, settings, None, folder, {"base": asdict(base.base)})
    return folder


def _distil(bundle: Path, base: BaseModel, out: Path, progress: Any = silent) -> StudentReport:
    return distil(bundle, SOURCES, base, RECIPE, out, progress)


@pytest.fixture(scope="module")
def student(
    bundle: Path, base: BaseModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, StudentReport]:
    out = tmp_path_factory.mktemp("distilled") / "student"
    return out, _distil(bundle, base, out)


def test_a_student_is_a_plain_model_near_its_teacher(
    bundle: Path, base: BaseModel, student: tuple[Path, StudentReport]
) -> None:
    from sentence_transformers import SentenceTransformer

    out, report = student
    assert [point.step for point in report.points] == [0, 23, 46, 69]
    assert report.cosine > report.points[0].cosine
    for item in report.domains:
        assert item.cosine > item.base_cosine

    assert "expertrag" not in (out / "modules.json").read_text()
    assert not list(out.rglob("experts*"))
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in out.rglob("*") if path.is_file())
    plain = SentenceTransformer(str(out), device="cpu")
    assert plain.max_seq_length == SentenceTransformer(base.source).max_seq_length
    teacher = load_embedder(base.source, experts=bundle)
    near = []
    for domain in DOMAINS:
        texts = list(SOURCES[domain][0].corpus.values())
        own = np.asarray(plain.encode(texts, normalize_embeddings=True))
        near.append(float((own * teacher.encode_documents(texts, domain)).sum(axis=1).mean()))
    assert np.mean(near) == pytest.approx(report.cosine, abs=0.02)


def test_the_card_states_cost_and_quality(student: tuple[Path, StudentReport]) -> None:
    out, report = student
    card = (out / "README.md").read_text()
    assert f"the mean cosine to the teacher is {report.cosine:.4f}" in card
    assert f"{report.seconds:.0f} s of training" in card
    for item in report.domains:
        assert f"| {item.domain} | 18 | {item.base:.3f} | {item.teacher:.3f} |" in card
    json.dumps(asdict(report))
    assert report.student_bytes > report.bundle_bytes > 0
    assert not out.with_name("student.partial").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_update_equals_the_separate_one(encoder: Encoders, kind: str) -> None:
    texts = ["The tenant shall give notice.", "Aspirin.", "A longer text that needs padding. " * 3]
    alone, merged = encoder(kind), encoder(kind)
    plain: Any = merged[0]
    module = with_experts(alone, ExpertSettings(("student",), rank=4))
    torch.manual_seed(1)
    for _, layer in expert_layers(module.model):
        layer.second.data += 0.3 * torch.randn_like(layer.second)
    layers = expert_layers(module.model)
    merge(plain.model, {name: (layer.first[0], layer.second[0]) for name, layer in layers})
    expected = np.asarray(alone.encode(texts, domain="student"))
    assert np.allclose(np.asarray(merged.encode(texts)), expected, atol=1e-5)
    assert not np.allclose(np.asarray(encoder(kind).encode(texts)), expected, atol=1e-2)


def test_the_mean_of_experts_is_exact_if_the_rank_suffices() -> None:
    torch.manual_seed(0)
    layer = ExpertLinear(torch.nn.Linear(7, 5), ExpertSettings(("a", "b", "c"), rank=2))
    layer.second.data = torch.randn_like(layer.second)
    mean = (layer.second[0] @ layer.first[0] + layer.second[2] @ layer.first[2]) / 2
    down, up = mean_update(layer, [0, 2], rank=4)
    assert torch.allclose(up @ down, mean, atol=1e-5)
    down, up = mean_update(layer, [0, 2], rank=9)  # more than the layer has directions
    assert down.shape == (5, 7) and torch.allclose(up @ down, mean, atol=1e-5)
    assert torch.allclose(down @ down.T, torch.eye(5), atol=1e-5)
    assert (up[:, 4].abs() < 1e-5).all()  # unused, and free to learn


def test_the_mean_of_copied_experts() -> None:
    torch.manual_seed(0)
    settings = ExpertSettings(("a", "b"), ExpertForm.FULL)
    layer = ExpertLinear(torch.nn.Linear(7, 5), settings)
    layer.first.data += torch.randn_like(layer.first)
    down, up = mean_update(layer, [0, 1], rank=5)
    merged = layer.base.weight + up @ down
    assert torch.allclose(merged, layer.first.mean(dim=0), atol=1e-5)


def test_a_killed_distillation_resumes_to_the_same_student(
    bundle: Path, base: BaseModel, student: tuple[Path, StudentReport], tmp_path: Path
) -> None:
    whole, expected = student

    def kill(stage: str, done: int, _total: int | None) -> None:
        if "cosine" in stage and done == 30:  # between the first and the second evaluation
            raise Killed

    with pytest.raises(Killed):
        _distil(bundle, base, tmp_path / "cut", kill)
    assert not (tmp_path / "cut").exists()
    steps: list[int] = []
    again = _distil(
        bundle,
        base,
        tmp_path / "cut",
        lambda stage, done, _total: steps.append(done) if "cosine" in stage else None,
    )
    assert steps[0] == 24  # the first after the first evaluation
    assert again.points == expected.points
    weights = [folder / "model.safetensors" for folder in (whole, tmp_path / "cut")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_distillation_of_one_domain_stops_early_without_gain(
    base: BaseModel, bundle: Path, tmp_path: Path
) -> None:
    idle = replace(RECIPE, learning_rate=0.0, epochs=4, evaluations=8, patience=2)
    domains = {"trees": SOURCES["trees"]}
    report = distil(bundle, domains, base, idle, tmp_path / "student", silent)
    assert [item.domain for item in report.domains] == ["trees"]
    assert len(report.points) == 3


def test_rejects_a_domain_without_an_expert(base: BaseModel, bundle: Path, tmp_path: Path) -> None:
    domains = {"trees": SOURCES["trees"], "birds": SOURCES["trees"]}
    with pytest.raises(TrainingError, match=r"no expert for birds: .* domains \(trees, metals"):
        distil(bundle, domains, base, RECIPE, tmp_path / "student", silent)
    with pytest.raises(TrainingError, match="without data"):
        distil(bundle, {}, base, RECIPE, tmp_path / "student", silent)


def test_rejects_a_folder_that_is_not_a_bundle(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="is not a bundle of experts"):
        base_of(Path(base.source))
    with pytest.raises(EmbedderError, match="is not a bundle of experts"):
        distil(tmp_path, {}, base, RECIPE, tmp_path / "student", silent)


def test_rejects_a_bundle_of_another_base(
    bundle: Path, encoder_folders: dict[str, Path], tmp_path: Path
) -> None:
    other = base_model(str(encoder_folders["mpnet"]), "other")
    with pytest.raises(EmbedderError, match="trained on a different version of tiny"):
        distil(bundle, {}, other, RECIPE, tmp_path / "student", silent)
