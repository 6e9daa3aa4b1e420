"""How a pipeline reads follows from its model, and from the configuration."""

from __future__ import annotations

from pathlib import Path

from reader_samples import write_tiny_reader
from serving_fixtures import PacedGenerator

from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.llm import load_generator


def test_a_model_on_a_server_is_read_as_plain() -> None:
    assert ReadingPolicy.of(PacedGenerator()) == ReadingPolicy()


def test_a_reader_in_this_process_says_how_it_replies(tmp_path: Path, smollm_path: Path) -> None:
    generator = load_generator(str(write_tiny_reader(tmp_path / "reader", smollm_path)))
    model = generator.white_box
    assert model is not None
    reading = ReadingPolicy.of(generator)
    assert (reading.reader, reading.strict_from) == (True, model.strict_from)
    assert not (reading.probe or reading.best_first or reading.canonical or reading.confidence)
