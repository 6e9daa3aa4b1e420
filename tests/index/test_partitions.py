"""Stores with partitions: every chunk belongs to one expert and is searched with its vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_helper import CORPUS, ExpertEmbedder, build, change_database, contents, make_mixed_corpus

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import SearchError
from expertrag_index.search.scales import Scale
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify

COUNT = 60


def experts_of(index: Index, keys: Sequence[int]) -> list[str]:
    """Return the experts that encoded chunks, in the order of ``keys``."""
    partitions = index._generation.partitions.items()
    return [next(name for name, held in partitions if key in held) for key in keys]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    build(tmp_path / "store", ExpertEmbedder(), make_mixed_corpus(COUNT))
    return tmp_path / "store"


def experts_by_document(index: Index) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    pairs = index.sample_chunks(index.size)
    for (_, chunk), expert in zip(pairs, experts_of(index, [key for key, _ in pairs]), strict=True):
        found.setdefault(chunk.document_id, set()).add(expert)
    return found


def test_each_group_is_in_one_partition(store: Path) -> None:
    wanted = {"legal": "legal", "money": "finance", "garden": "general"}
    with Index.open(store) as index:
        for document, experts in experts_by_document(index).items():
            assert experts == {wanted[document.rstrip("0123456789")]}
        assert index.partitions() == index.manifest.partitions
        assert set(index.manifest.partitions) == {"general", "legal", "finance"}
        assert {entry.expert for entry in index.manifest.segments} == set(wanted.values())
        groups = {group.name: group for group in index.groups()}
    assert groups["legal"].documents == 0  # its label has decided
    assert groups["from /notes/money"].expert == "finance"
    assert groups["from /notes/money"].documents == 20
    assert groups["from /notes/garden"].expert == "general"
    assert verify(store).problems == ()


def test_a_plain_embedder_is_not_asked_for_experts(tmp_path: Path, hashing: Any) -> None:
    with IndexWriter.open(tmp_path / "store", hashing) as writer:  # its assign raises
        report = writer.build(CORPUS)
    assert len(hashing.encoded) == report.chunks
    with Index.open(tmp_path / "store") as index:
        assert index.partitions() == {"general": report.chunks}
        assert index.groups() == []


def test_added_documents_follow_their_group(store: Path) -> None:
    embedder = ExpertEmbedder()
    late = [
        Document("late1", "Nothing is said here.", source="/notes/money/late.txt"),
        Document("late2", "Nothing is said here.", domain="legal"),
        Document("late3", "Nothing is said here.", source="/elsewhere/a.txt"),
        Document("late4", "Only finance-word here.", source="/other/a.txt"),  # as half of the store
    ]
    with IndexWriter.open(store, embedder) as writer:
        report = writer.add(late)
    assert (report.added, report.chunks_embedded) == (4, 4)
    assert embedder.routed == 2  # of the groups that are new
    with Index.open(store) as index:
        found = [experts_by_document(index)[f"late{number}"] for number in (1, 2, 3, 4)]
        assert found == [{"finance"}, {"legal"}, {"general"}, {"finance"}]
    assert verify(store).problems == ()


def test_building_again_embeds_and_routes_nothing(store: Path) -> None:
    embedder = ExpertEmbedder()
    report = build(store, embedder, make_mixed_corpus(COUNT))
    assert (report.generation, report.unchanged) == (1, COUNT)
    assert (embedder.encoded, embedder.routed) == ([], 0)


def test_a_group_ends_with_its_last_document(store: Path) -> None:
    rest = [item for item in make_mixed_corpus(COUNT) if "money" not in item.id]
    build(store, ExpertEmbedder(), rest)
    with Index.open(store) as index:
        assert [group.name for group in index.groups()] == ["from /notes/garden", "legal"]
        assert set(index.partitions()) == {"general", "legal"}
    assert verify(store).problems == ()


def test_each_partition_is_searched_by_its_own_vector(store: Path) -> None:
    embedder = ExpertEmbedder()
    experts = ("finance", "general", "legal")
    with Index.open(store) as index:
        for key, chunk in index.sample_chunks(12, seed=2):
            text = chunk.embedding_text
            vectors = {name: embedder.encode_query(text, name) for name in experts}
            hit, second = index.search_dense(vectors, 2)
            assert hit.key == key
            assert index.best_similarity(vectors) == hit.score == pytest.approx(1.0, abs=2e-3)
            assert index.best_similarity(vectors, exclude=key) == second.score
            assert index.best_similarity(vectors, {"source": "nowhere"}) == -1.0
            assert index.dense_scores(vectors, [key])[0] == pytest.approx(1.0, abs=2e-3)
            own = experts_of(index, [key])[0]
            assert index.search_dense({own: vectors[own]}, 1)[0].key == hit.key
            del vectors[own]
            assert own not in experts_of(index, [h.key for h in index.search_dense(vectors, 99)])
            with pytest.raises(SearchError, match=f"no vector for the partition '{own}'"):
                index.dense_scores(vectors, [key])
        assert index.scan_cost() == index.size


def test_filters_reach_every_partition(store: Path) -> None:
    embedder = ExpertEmbedder()
    vectors = {name: embedder.encode_query("word5", name) for name in ("general", "finance")}
    with Index.open(store) as index:
        wanted = {"source": {"$in": ["/notes/money/1.txt", "/notes/legal/0.txt"]}}
        assert set(index.partitions(wanted)) == {"finance", "legal"}
        hits = index.search_dense(vectors, 10, wanted)
        assert {chunk.document_id for chunk in index.chunks([h.key for h in hits])} == {"money1"}
        assert index.partitions({"domain": "legal"}) == {"legal": index.partitions()["legal"]}


def test_a_scale_makes_inflated_scores_comparable(tmp_path: Path) -> None:
    """The expert of finance maps every cosine to (cosine + 1) / 2: most of its chunks then win."""
    embedder = ExpertEmbedder(lean={"finance": np.pi / 4})
    legal = [Document(f"l{i}", f"tenant{i} lease{i} court", domain="legal") for i in range(20)]
    finance = [Document(f"f{i}", f"stock{i} bond{i} fund", domain="finance") for i in range(20)]
    build(tmp_path / "store", embedder, [*legal, *finance])
    query = "tenant7 lease7 court"
    vectors = {name: embedder.encode_query(query, name) for name in ("legal", "finance")}
    with Index.open(tmp_path / "store") as index:
        raw = [hit.key for hit in index.search_dense(vectors, 40)]
        scaled = index.rescale({"finance": Scale(2.0, -1.0)})  # what undoes it
        hits = scaled.search_dense(vectors, 40)
        assert index.chunks([hits[0].key])[0].document_id == "l7"
        base = {
            key: float(embedder.encode_query(query) @ embedder.encode_query(chunk.embedding_text))
            for key, chunk in index.sample_chunks(40)
        }
        assert [hit.score for hit in hits] == pytest.approx(
            [base[hit.key] for hit in hits], abs=5e-3
        )
        keys = [hit.key for hit in hits]
        wrong, right = experts_of(index, raw[:10]), experts_of(index, keys[:10])
        assert wrong.count("finance") >= right.count("finance") + 3
        exact = scaled.dense_scores(vectors, keys)
        assert exact == pytest.approx([hit.score for hit in hits], abs=1e-5)
        own = {"finance": vectors["finance"]}
        order = [hit.key for hit in index.search_dense(own, 40)]
        assert [hit.key for hit in scaled.search_dense(own, 40)] == order


def test_segments_are_merged_within_their_partition(tmp_path: Path) -> None:
    embedder = ExpertEmbedder(dimension=24)
    settings = WriterSettings(flat_limit=400, small=50, max_segments=2)

    def documents(name: str, start: int, stop: int) -> list[Document]:
        return [
            Document(f"{name}{i}", f"a{i % 50} b{i % 31} n{i}", domain=name)
            for i in range(start, stop)
        ]

    def kinds() -> list[tuple[str, str]]:
        with Index.open(tmp_path / "s") as index:
            return [(segment.expert, segment.kind) for segment in index.manifest.segments]

    with IndexWriter.open(tmp_path / "s", embedder, settings=settings) as writer:
        writer.build([*documents("legal", 0, 600), *documents("finance", 0, 300)])
        assert kinds() == [("finance", "flat"), ("legal", "ivf_sq8")]
        writer.add(documents("finance", 300, 320))
        assert kinds() == [("finance", "flat"), ("finance", "flat"), ("legal", "ivf_sq8")]
        writer.add(documents("finance", 320, 324))  # a third one is too many
        assert kinds() == [("finance", "flat"), ("legal", "ivf_sq8")]
        with Index.open(tmp_path / "s") as index:
            assert index.manifest.recall_at_10 >= 0.95
            vectors = {n: embedder.encode_query("a7 b7 n7", n) for n in ("legal", "finance")}
            hits = index.search_dense(vectors, 2)
            assert sorted(experts_of(index, [hit.key for hit in hits])) == ["finance", "legal"]
    assert verify(tmp_path / "s").problems == ()


def test_a_damaged_group_is_detected_and_repaired(store: Path) -> None:
    change_database(store, "UPDATE groups SET expert = 'legal' WHERE name = 'from /notes/money'")
    assert "'from /notes/money' is damaged" in verify(store).problems[0]
    assert verify(store, repair=True).problems == ()
    with IndexWriter.open(store, ExpertEmbedder()) as writer:
        assert writer.build(make_mixed_corpus(COUNT)).unchanged == COUNT
        writer.add([Document("late", "Late.", source="/notes/money/late.txt")])
    with Index.open(store) as index:
        assert experts_by_document(index)["late"] == {"finance"}


def test_a_repair_rebuilds_all_partitions(store: Path) -> None:
    before = contents(store)
    for file in (store / "segments").iterdir():
        file.write_bytes(b"damaged")
    assert verify(store, repair=True).problems == ()
    with Index.open(store) as index:
        assert len(index.manifest.segments) == 3
    assert contents(store) == before


def test_an_unchanged_embedding_text_is_not_embedded_again(store: Path) -> None:
    embedder = ExpertEmbedder()
    moved = [replace(item, metadata={"x": 1}) for item in make_mixed_corpus(COUNT)]
    report = build(store, embedder, moved)
    assert (report.changed, report.chunks_embedded) == (COUNT, 0)
