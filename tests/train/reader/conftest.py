"""Fixtures: a tiny model and a small data set, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader_samples import write_births, write_llama


@pytest.fixture(scope="session")
def tiny_llama(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Llama."""
    return write_llama(tmp_path_factory.mktemp("tiny") / "llama", smollm_path)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the data set."""
    return write_births(tmp_path_factory.mktemp("data") / "births")
