"""Fixtures: a tiny reader and a small data set, made once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reader_samples import write_births, write_llama

from expertrag.llm import prompt


@pytest.fixture(scope="session")
def tiny_reader(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Llama that is marked as a reader of our prompts."""
    folder = write_llama(tmp_path_factory.mktemp("tiny") / "reader", smollm_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"reader_prompts": prompt.fingerprint()})
    )
    return folder


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the data set."""
    return write_births(tmp_path_factory.mktemp("data") / "births")
