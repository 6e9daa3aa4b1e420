"""Fixtures: a tiny reader and a small data set, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from file_helper import change_json
from reader_samples import write_births, write_llama

from expertrag.llm import prompt


@pytest.fixture(scope="session")
def tiny_reader(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Llama that is marked as a reader of our prompts."""
    folder = write_llama(tmp_path_factory.mktemp("tiny") / "reader", smollm_path)
    change_json(folder / "config.json", reader_prompts=prompt.fingerprint())
    return folder


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the data set."""
    return write_births(tmp_path_factory.mktemp("data") / "births")
