"""A store to push, copied from one that is built once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from store_helper import CORPUS, HashingEmbedder, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 60 documents; read it, do not write to it."""
    path = tmp_path_factory.mktemp("built") / "store"
    build(path, HashingEmbedder(), CORPUS)
    return path


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(built, tmp_path / "store"))
