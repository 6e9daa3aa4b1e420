"""The store of a corpus: built once per unit, resumed; unreadable documents are reported."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.data.datasets import load_dataset
from expertrag.eval.stores import build_store, default_work, read_corpus
from expertrag_index.build import IndexWriter
from expertrag_index.index import Index
from expertrag_retriever.encoder import SentenceTransformerEmbedder

DATA = Path(__file__).parents[1] / "data"
Seen = list[tuple[str, int, int | None]]


class Counted:
    """An embedder that counts the texts of documents that it encodes."""

    def __init__(self, inner: SentenceTransformerEmbedder) -> None:
        self._inner = inner
        self.texts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def encode_documents(self, texts: list[str], domain: str | None = None) -> Any:
        self.texts += len(texts)
        return self._inner.encode_documents(texts, domain)


def silent(stage: str, done: int, total: int | None) -> None:
    del stage, done, total


def test_a_store_is_built_once_by_corpus_embedder_and_unit(
    tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    work = tmp_path
    dataset = load_dataset(DATA / "beir_small")
    seen: Seen = []
    store, skipped = build_store(
        dataset, embedder, "document", work, lambda *step: seen.append(step)
    )
    assert store.parent == work / "stores"
    assert store.name.startswith("beir_small-")
    assert skipped == ()
    assert ("beir_small: indexing", 150, 150) in seen
    assert {stage for stage, *_ in seen} == {
        f"beir_small: {stage}" for stage in ("indexing", "writing", "calibrating")
    }
    with Index.open(store) as index:
        assert (index.manifest.documents, index.size) == (150, 150)
        assert set(index.manifest.calibration) == {"fusion", "coverage"}
    counted: Any = Counted(embedder)
    assert build_store(dataset, counted, "document", work, silent) == (store, ())
    assert counted.texts == 0


def test_the_end_of_a_whole_document_is_found_by_bm25_only(
    make_set: Callable[..., Path], tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    text = "Harbours of the north sea. " * 200 + "Zanzibar."
    folder = make_set({"long": text, "short": "Ships and tides."}, {"q": "?"}, {"q": {"long": 1}})
    store, _ = build_store(load_dataset(folder), embedder, "document", tmp_path, silent)
    with Index.open(store) as index:
        assert index.size == 2
        (hit,) = index.search_lexical("zanzibar", 5)
        assert index.chunks([hit.key])[0].text == text
        beginning = embedder.encode_documents(["Harbours of the north sea. " * 60])[0]
        assert index.dense_scores(beginning, [hit.key])[0] == pytest.approx(1.0, abs=1e-3)
    chunks, _ = build_store(load_dataset(folder), embedder, "chunk", tmp_path, silent)
    assert chunks != store
    with Index.open(chunks) as index:
        assert index.manifest.documents == 2
        assert index.size > 5


def test_an_interrupted_build_is_resumed(
    make_set: Callable[..., Path], tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    corpus = {f"d{n}": f"Lighthouse number {n} stands on a rock." for n in range(100)}
    dataset = load_dataset(make_set(corpus, {"q": "?"}, {"q": {"d1": 1}}))

    def stop(stage: str, done: int, total: int | None) -> None:
        if done == 80:
            raise KeyboardInterrupt

    counted: Any = Counted(embedder)
    with pytest.raises(KeyboardInterrupt):
        build_store(dataset, counted, "chunk", tmp_path, stop)
    assert counted.texts == 64
    build_store(dataset, counted, "chunk", tmp_path, silent)
    assert counted.texts == 100


def test_unreadable_documents_are_reported(
    make_set: Callable[..., Path], tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    folder = make_set({"a": "One.", "b": " ", "c": "Three."}, {"q": "?"}, {"q": {"a": 1}})
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('\n{"_id": "a", "text": "Twice."}\nno json\n')
    store, skipped = build_store(load_dataset(folder), embedder, "document", tmp_path, silent)
    reasons = {item.id: item.reason for item in skipped}
    assert len(skipped) == 3
    assert "is already used by" in reasons["a"]
    assert set(reasons) == {"a", "corpus.jsonl"}
    with Index.open(store) as index:
        assert index.manifest.documents == 2


def test_an_empty_corpus_is_rejected(
    make_set: Callable[..., Path], tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    folder = make_set({"a": " "}, {"q": "?"}, {"q": {"a": 1}})
    with pytest.raises(InvalidArgument, match=r"no document of .*tiny can be searched: .*no text"):
        build_store(load_dataset(folder), embedder, "document", tmp_path, silent)


def test_a_truncated_gzip_file_is_rejected(make_set: Callable[..., Path]) -> None:
    folder = make_set({"a": "One.", "b": "Two."}, {"q": "?"}, {"q": {"a": 1}})
    plain = read_corpus(load_dataset(folder))
    assert plain.records == 2
    data = gzip.compress((folder / "corpus.jsonl").read_bytes())
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(data)
    assert read_corpus(load_dataset(folder)) == plain
    for damaged in (data[:-9], b"no gzip", data[:10] + b"\xff" * 9 + data[19:]):
        (folder / "corpus.jsonl.gz").write_bytes(damaged)
        with pytest.raises(InvalidArgument, match=r"corpus\.jsonl\.gz is a damaged gzip file"):
            read_corpus(load_dataset(folder))


def test_two_processes_do_not_build_at_once(
    make_set: Callable[..., Path], tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    dataset = load_dataset(make_set({"a": "One."}, {"q": "?"}, {"q": {"a": 1}}))
    store, _ = build_store(dataset, embedder, "document", tmp_path, silent)
    with (
        IndexWriter.open(store, embedder),
        pytest.raises(Conflict, match="writ"),
    ):
        build_store(dataset, embedder, "document", tmp_path, silent)


def test_the_default_work_folder_is_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", "/somewhere")
    assert default_work() == Path("/somewhere/eval")
