"""Which embedder a store needs, found without reading its vectors; how questions are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader_samples import write_tiny_reader
from store_helper import HashingEmbedder, build, migrate

from expertrag.answer.assemble import open_generator, reading_of
from expertrag.config import LabConfig, ModelConfig
from expertrag.stores.embedders import DEFAULT_EMBEDDER, _embedder_of
from expertrag_index.store.index import Index
from expertrag_index.types import Document

DOCUMENTS = [Document(f"d{i}", f"Berth {i} is free.") for i in range(9)]


def named(name: str) -> HashingEmbedder:
    embedder = HashingEmbedder(fingerprint=f"{name}-1")
    embedder.name = name
    return embedder


def damage(store: Path) -> None:
    """Flip a bit in the vectors of the newest generation."""
    with Index.open(store) as index:
        (entry,) = index.open_parts.vectors
    path = store / "segments" / entry.entry.file
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("store", [None, Path("nothing")])
def test_no_store_has_the_default(store: Path | None) -> None:
    assert _embedder_of(store) == DEFAULT_EMBEDDER


def test_the_manifest_names_it(tmp_path: Path) -> None:
    build(tmp_path / "s", named("one"), DOCUMENTS)
    damage(tmp_path / "s")
    assert _embedder_of(tmp_path / "s") == "one"  # the vectors are not read


def test_after_a_migration_the_intact_generation_decides(tmp_path: Path) -> None:
    build(tmp_path / "s", named("one"), DOCUMENTS)
    migrate(tmp_path / "s", named("two"))
    assert _embedder_of(tmp_path / "s") == "two"
    damage(tmp_path / "s")
    assert _embedder_of(tmp_path / "s") == "one"


def test_questions_are_read_as_asked_unless_canonical(tmp_path: Path, smollm_path: Path) -> None:
    model = ModelConfig(generator=str(write_tiny_reader(tmp_path / "reader", smollm_path)))
    generator = open_generator(model)
    assert not reading_of(model, generator).canonical
    assert reading_of(model, generator, LabConfig(wording="canonical")).canonical
