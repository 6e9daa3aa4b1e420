"""The reader that lies in the package: small, described, and of the prompts that are served."""

from __future__ import annotations

from pathlib import Path

from expertrag import models, prompt
from expertrag.generation import load_generator
from expertrag.reader.bundle import load_bundle

NAME = "smollm2-135m-reader"
FOLDER = models.reader_folder(NAME)


def test_its_folder_is_small_and_says_what_it_is() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 10e6
    model = models.REGISTRY[NAME]
    assert isinstance(model, models.ReaderModel)
    assert load_bundle(FOLDER).base == model.base
    assert (FOLDER / "README.md").is_file()


def test_it_was_trained_with_the_prompts_that_are_served(reader_path: Path) -> None:
    """Whoever changes a prompt or the form of replies trains it again: ``make reader``."""
    assert load_bundle(FOLDER).prompts == prompt.fingerprint()
    reader = load_generator(str(reader_path))
    assert reader.reader
    assert reader.experts == load_bundle(FOLDER).settings.experts
