"""The shipped readers: small, with a card, and trained with the served prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag import models
from expertrag.llm import load_generator, prompt
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.adapters.serving import parallel_of

NAME = "smollm2-135m-reader"
FOLDER = models.reader_folder(NAME)
LARGE_FOLDER = models.reader_folder(models.LARGE)


@pytest.mark.parametrize("folder", [FOLDER, LARGE_FOLDER])
def test_its_folder_is_small_and_has_a_card(folder: Path) -> None:
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10e6
    made = load_bundle(folder)
    assert made.prompts == prompt.fingerprint()
    card = (folder / "README.md").read_text()
    assert f"base_model: {made.base}\n" in card and "license: apache-2.0\n" in card
    assert "/tmp" not in card + (folder / "reader.json").read_text()


def test_each_belongs_to_a_package_model() -> None:
    model = models.REGISTRY[NAME]
    assert isinstance(model, models.ReaderModel)
    assert load_bundle(FOLDER).base == model.base
    assert models.reader_of(models.LARGE) == LARGE_FOLDER
    adapters = parallel_of(load_bundle(LARGE_FOLDER))
    assert adapters.base_name == models.LARGE
    assert adapters.names == load_bundle(FOLDER).settings.experts
    assert 0.5 > adapters.doubt.strict_from > 0


def test_it_was_trained_with_the_served_prompts(reader_path: Path) -> None:
    """After a change of prompts or of the reply format, retrain it: ``make reader``."""
    assert load_bundle(FOLDER).prompts == prompt.fingerprint()
    reader = load_generator(str(reader_path))
    assert reader.reader
    assert reader.experts == load_bundle(FOLDER).settings.experts
