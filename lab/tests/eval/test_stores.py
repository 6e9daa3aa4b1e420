"""The store of a corpus: built once per unit, resumed; unreadable documents are reported."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eval.conftest import MakeSet

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.types import Progress, silent
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.types import Skipped
from expertrag_lab.eval.stores import Unit, build_store, default_work, read_corpus
from expertrag_retriever.encoder import SentenceTransformerEmbedder

DATA = Path(__file__).parents[3] / "tests" / "data"
Seen = list[tuple[str, int, int | None]]
Build = Callable[..., tuple[Path, tuple[Skipped, ...]]]


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


@pytest.fixture
def build(embedder: SentenceTransformerEmbedder, tmp_path: Path) -> Build:
    """Builds the store of a data set."""

    def made(
        folder: Path, unit: Unit = "document", by: Any = embedder, progress: Progress = silent
    ) -> tuple[Path, tuple[Skipped, ...]]:
        return build_store(load_dataset(folder), by, unit, tmp_path, progress)

    return made


def test_a_store_is_built_once_by_corpus_embedder_and_unit(
    tmp_path: Path, build: Build, embedder: SentenceTransformerEmbedder
) -> None:
    seen: Seen = []
    store, skipped = build(DATA / "beir_small", progress=lambda *step: seen.append(step))
    assert store.parent == tmp_path / "stores"
    assert store.name.startswith("beir_small-")
    assert skipped == ()
    assert ("beir_small: reading", 150, 150) in seen
    assert {stage for stage, *_ in seen} == {
        f"beir_small: {stage}" for stage in ("reading", "embedding", "writing", "calibrating")
    }
    with Index.open(store) as index:
        assert (index.manifest.documents, index.size) == (150, 150)
        assert set(index.manifest.calibration) == {"fusion", "coverage", "measured"}
    counted: Any = Counted(embedder)
    assert build(DATA / "beir_small", by=counted) == (store, ())
    assert counted.texts == 0


def test_the_end_of_a_whole_document_is_found_by_bm25_only(
    make_set: MakeSet, build: Build, embedder: SentenceTransformerEmbedder
) -> None:
    text = "Harbours of the north sea. " * 200 + "Zanzibar."
    folder = make_set({"long": text, "short": "Ships and tides."}, {"q": "?"}, {"q": {"long": 1}})
    store, _ = build(folder)
    with Index.open(store) as index:
        assert index.size == 2
        (hit,) = index.search_lexical("zanzibar", 5)
        assert index.chunks([hit.key])[0].text == text
        beginning = embedder.encode_documents(["Harbours of the north sea. " * 60])[0]
        assert index.dense_scores(beginning, [hit.key])[0] == pytest.approx(1.0, abs=1e-3)
    chunks, _ = build(folder, "chunk")
    assert chunks != store
    with Index.open(chunks) as index:
        assert index.manifest.documents == 2
        assert index.size > 5


def test_an_interrupted_build_is_resumed(
    make_set: MakeSet, build: Build, embedder: SentenceTransformerEmbedder
) -> None:
    corpus = {f"d{n}": f"Lighthouse number {n} stands on a rock." for n in range(300)}
    folder = make_set(corpus, {"q": "?"}, {"q": {"d1": 1}})

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage.endswith("embedding") and done:
            raise KeyboardInterrupt

    counted: Any = Counted(embedder)
    with pytest.raises(KeyboardInterrupt):
        build(folder, "chunk", counted, stop)
    assert 64 <= counted.texts < 300
    build(folder, "chunk", counted)
    assert counted.texts == 300  # nothing is embedded twice


def test_unreadable_documents_are_reported(make_set: MakeSet, build: Build) -> None:
    folder = make_set({"a": "One.", "b": " ", "c": "Three."}, {"q": "?"}, {"q": {"a": 1}})
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('\n{"_id": "a", "text": "Twice."}\nno json\n')
    store, skipped = build(folder)
    reasons = {item.id: item.reason for item in skipped}
    assert len(skipped) == 3
    assert "is already used by" in reasons["a"]
    assert set(reasons) == {"a", "corpus.jsonl"}
    with Index.open(store) as index:
        assert index.manifest.documents == 2


def test_an_empty_corpus_is_rejected(make_set: MakeSet, build: Build) -> None:
    folder = make_set({"a": " "}, {"q": "?"}, {"q": {"a": 1}})
    with pytest.raises(InvalidArgument, match=r"no document of .*tiny can be searched: .*no text"):
        build(folder)


def test_a_truncated_gzip_file_is_rejected(make_set: MakeSet) -> None:
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
    make_set: MakeSet, build: Build, embedder: SentenceTransformerEmbedder
) -> None:
    folder = make_set({"a": "One."}, {"q": "?"}, {"q": {"a": 1}})
    store, _ = build(folder)
    with IndexWriter.open(store, embedder), pytest.raises(Conflict, match="writ"):
        build(folder)


def test_the_default_work_folder_is_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", "/somewhere")
    assert default_work() == Path("/somewhere/eval")
