"""Stores of a bundle with tiny real experts: which partitions are searched, and the hits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_fixtures import domain_texts
from store_helper import ExpertEmbedder, build

from expertrag_index import Index, IndexWriter
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify
from expertrag_retriever import Gate, Searcher
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.partitions import QueryEncoder
from expertrag_retriever.types import SearchMode

Embedder = Any


def documents(per_domain: int = 40) -> list[Document]:
    """Trees with a domain label, metals in one folder, weather in another."""
    return [
        Document(
            f"{name}{number}",
            text,
            domain="trees" if name == "trees" else None,
            source=f"/{name}/{number}.txt",
        )
        for name in ("trees", "metals", "weather")
        for number, text in enumerate(domain_texts(name, per_domain, seed=1))
    ]


@pytest.fixture(scope="module")
def bundle(make_bundle: Any, load_bundle: Any) -> Embedder:
    return load_bundle(make_bundle("trees", "metals"))


@pytest.fixture(scope="module")
def store(bundle: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("partitions") / "store"
    build(path, bundle, documents(), calibrate=calibrator(bundle))
    return path


@pytest.fixture(scope="module")
def index(store: Path, bundle: Embedder) -> Iterator[Index]:
    with Index.open(store, embedder_fingerprint=bundle.fingerprint) as opened:
        yield opened


def test_only_experts_have_scales(index: Index) -> None:
    stored = index.manifest.calibration["partitions"]
    assert isinstance(stored, dict)
    assert set(stored) == set(index.partitions()) - {GENERAL}
    for fields in stored.values():
        assert fields["scale"] > 0
        assert fields["pseudo_queries"] > 0


@pytest.mark.parametrize("mode", list(SearchMode))
def test_every_mode_finds_the_relevant_chunks(
    index: Index, bundle: Embedder, mode: SearchMode
) -> None:
    searcher = Searcher(index, bundle)
    for _, chunk in index.sample_chunks(12, seed=1):
        result = searcher.search(chunk.text, k=5, mode=mode)
        assert chunk.document_id in [passage.document_id for passage in result.passages]


def test_a_query_has_a_vector_for_every_partition(index: Index, bundle: Embedder) -> None:
    encoder = QueryEncoder(index, bundle)
    wood = domain_texts("trees", 1, seed=9)[0]
    encoded = encoder.encode(wood)
    assert set(encoded) == {GENERAL, *index.partitions()}
    assert np.allclose(encoded["trees"], bundle.encode_query(wood, "trees"), atol=1e-2)
    assert set(encoder.encode(wood, {"domain": "trees"})) == {GENERAL, "trees"}


def test_a_search_does_not_encode_for_partitions_that_do_not_exist(tmp_path: Path) -> None:
    class Recorder(ExpertEmbedder):
        def encode_queries_by_experts(self, texts: Any, experts: Any) -> Any:
            asked.append(list(experts))
            return super().encode_queries_by_experts(texts, experts)

    asked: list[list[str]] = []
    embedder = Recorder()
    build(tmp_path / "s", embedder, [Document("a", "Berth 7 is free today.", domain="legal")])
    with Index.open(tmp_path / "s") as index:
        searcher = Searcher(index, embedder)
        assert searcher.search("berth 7", k=1).passages
        searcher.encode("berth 7")  # for the gate, which also compares with background requests
    assert asked == [["legal"], ["general", "legal"]]


def test_every_partition_is_searched_whatever_the_router_says(
    index: Index, bundle: Embedder
) -> None:
    """A question that reads like one of another domain still finds its chunk."""
    searcher = Searcher(index, bundle)
    wood, metal = domain_texts("trees", 1, seed=1)[0], " ".join(domain_texts("metals", 3, seed=9))
    found = searcher.search(f"{metal} {wood}", k=100, mode=SearchMode.DENSE)
    assert found.vectors_scanned == index.scan_cost() == index.size
    assert "trees0" in [passage.document_id for passage in found.passages]


def test_a_known_vector_is_not_encoded_again(
    index: Index, bundle: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher = Searcher(index, bundle)
    query = domain_texts("trees", 1, seed=5)[0]
    for mode in (SearchMode.DENSE, SearchMode.HYBRID):
        vectors = searcher.encode(query)
        alone = searcher.search(query, k=5, mode=mode)
        given = searcher.search(query, k=5, mode=mode, query_vector=vectors)
        assert [p.document_id for p in given.passages] == [p.document_id for p in alone.passages]
    vectors = searcher.encode(query)
    monkeypatch.setattr(bundle, "encode_queries_by_experts", None)
    assert searcher.search(query, k=5, mode=SearchMode.DENSE, query_vector=vectors).passages


def test_the_gate_searches_each_partition_with_its_own_vector(
    index: Index, bundle: Embedder
) -> None:
    gate, searcher = Gate(index), Searcher(index, bundle)
    query = domain_texts("trees", 1, seed=4)[0]
    signals = gate.store_signals(query, searcher.encode(query))
    assert signals.similarity > -1
    assert signals.background_similarity > -1
    assert 0 <= signals.coverage <= 1


def test_adding_a_domain_re_encodes_only_its_documents(
    store: Path, tmp_path: Path, make_bundle: Any, load_bundle: Any
) -> None:
    path = Path(shutil.copytree(store, tmp_path / "store"))
    larger = load_bundle(make_bundle("trees", "metals", "weather"))
    with IndexWriter.open(path, larger, calibrate=calibrator(larger), migrating=True) as writer:
        report = writer.migrate()
        assert writer.build(documents()).unchanged == 120
    with Index.open(path, embedder_fingerprint=larger.fingerprint) as index:
        groups = {group.name: group.expert for group in index.groups()}
        moved = index.partitions()["weather"]
    assert groups == {"trees": "trees", "from /metals": "metals", "from /weather": "weather"}
    assert report.chunks_embedded == moved < report.chunks
    assert (report.changed, report.unchanged) == (40, 80)
    assert verify(path).problems == ()


def test_small_changes_keep_the_scales(store: Path, tmp_path: Path, bundle: Embedder) -> None:
    path = Path(shutil.copytree(store, tmp_path / "store"))

    def scales() -> Any:
        with Index.open(path) as index:
            return index.manifest.calibration["partitions"]

    before = scales()
    with IndexWriter.open(path, bundle, calibrate=calibrator(bundle)) as writer:
        writer.add([Document("late", domain_texts("trees", 1, seed=8)[0], domain="trees")])
        assert scales() == before
        more = domain_texts("trees", 10, seed=7)
        writer.add([Document(f"more{i}", text, domain="trees") for i, text in enumerate(more)])
    assert scales()["metals"] == before["metals"]
    assert scales()["trees"] != before["trees"]
