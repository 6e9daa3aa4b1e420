"""Fixtures: tiny models and a small data set, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader_samples import write_births, write_llama, write_tiny_reader


@pytest.fixture(scope="session")
def tiny_llama(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Llama."""
    return write_llama(tmp_path_factory.mktemp("tiny") / "llama", smollm_path)


@pytest.fixture(scope="session")
def tiny_reader(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, marked as a reader of our prompts."""
    return write_tiny_reader(tmp_path_factory.mktemp("tiny") / "reader", smollm_path)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the data set."""
    return write_births(tmp_path_factory.mktemp("data") / "births")
