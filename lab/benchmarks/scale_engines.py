"""Engines that ``scale_rivals.py`` measures, each behind the same few calls.

All keep a chunk's title with its text, and three fields to filter by. None is imported before it is
made.
"""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from synthetic_corpus import FILTERS
from topic_embedder import DIMENSION, Vectors

os.environ.setdefault("LANCEDB_LOG", "error")  # LanceDB warns at every search

SHARES = {"none": 1.0, "1 %": 0.01, "10 %": 0.1, "50 %": 0.5}
"""Documents that each filter admits."""

_TOP, _HALF = 10, 100
_RRF = 60
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Row:
    """A chunk to store."""

    key: int
    document: str
    text: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found, its text read."""

    document: str
    text: str


class Engine(Protocol):
    """What is measured of an engine."""

    modules: Sequence[str]
    packages: Sequence[str]
    probes: int

    def __init__(self, folder: Path) -> None:
        """Take the folder of its files."""

    def add(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Store chunks and their vectors [N, D]."""
        ...

    def finish(self) -> None:
        """Build what searches need, and store it durably."""
        ...

    def open(self) -> None:
        """Open what was built."""
        ...

    def hybrid(self, words: str, vector: Vectors, name: str) -> list[Hit]:
        """Find the ten best by both halves; ``name`` is that of a filter."""
        ...

    def dense(self, vector: Vectors) -> list[Hit]:
        """Find the ten nearest."""
        ...


class TantivyFaiss:
    """BM25 by tantivy, vectors by FAISS IVF SQ8, put together by hand."""

    modules: Sequence[str] = ("tantivy", "faiss")
    packages: Sequence[str] = ("tantivy", "faiss-cpu")

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._folder, self.probes = folder, 1
        (folder / "words").mkdir(parents=True, exist_ok=True)
        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("key", stored=True, indexed=True, fast=True)
        schema.add_text_field("document", stored=True, tokenizer_name="raw")
        schema.add_text_field("text", stored=True, tokenizer_name="en_stem", index_option="freq")
        schema.add_unsigned_field("shelf", indexed=True)
        schema.add_unsigned_field("floor", indexed=True)
        schema.add_text_field("wing", tokenizer_name="raw", index_option="basic")
        self._schema = schema.build()
        self._index = tantivy.Index(self._schema, path=str(folder / "words"))
        self._tantivy: Any = tantivy
        self._writer: Any = None
        self._fields: dict[str, list[Any]] = {"shelf": [], "floor": [], "wing": []}

    def add(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Write to tantivy, and the vectors to a file."""
        self._writer = self._writer or self._index.writer(heap_size=256 << 20, num_threads=1)
        for row in rows:
            document = {"key": row.key, "document": row.document, "text": row.text, **row.fields}
            self._writer.add_document(self._tantivy.Document.from_dict(document, self._schema))
            for name, values in self._fields.items():
                values.append(row.fields[name])
        with (self._folder / "vectors").open("ab") as file:
            file.write(vectors.tobytes())

    def finish(self) -> None:
        """Commit, train on 40 vectors a list, and add all of them."""
        import faiss

        self._writer.commit()
        self._writer.wait_merging_threads()
        path = self._folder / "vectors"
        vectors = np.memmap(path, np.float32, "r").reshape(-1, DIMENSION)
        lists = lists_for(len(vectors))
        index = faiss.index_factory(DIMENSION, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        sample = np.random.default_rng(0).permutation(len(vectors))[: 40 * lists]
        index.train(vectors[np.sort(sample)])
        for first in range(0, len(vectors), 50_000):
            index.add(vectors[first : first + 50_000])
        faiss.write_index(index, str(self._folder / "index.faiss"))
        (self._folder / "fields.json").write_text(json.dumps(self._fields))
        path.unlink()

    def open(self) -> None:
        """Open both, and one bitmap a filter."""
        import faiss

        self._index.reload()
        self._searcher = self._index.searcher()
        self._vectors: Any = faiss.read_index(str(self._folder / "index.faiss"))
        fields = json.loads((self._folder / "fields.json").read_text())
        self._bitmaps = {
            name: np.packbits(np.array(fields[field]) == value, bitorder="little")
            for name, (field, value) in one_field(FILTERS)
        }
        self._faiss: Any = faiss

    def hybrid(self, words: str, vector: Vectors, name: str) -> list[Hit]:
        """Fuse the ranks of both."""
        tantivy = self._tantivy
        query = self._index.parse_query(words, ["text"])
        for field, value in FILTERS[name].items():
            only = tantivy.Query.term_query(self._schema, field, value)
            only = tantivy.Query.const_score_query(only, 0.0)
            query = tantivy.Query.boolean_query(
                [(tantivy.Occur.Must, query), (tantivy.Occur.Must, only)]
            )
        found = self._searcher.search(query, _HALF, count=False).hits
        addresses = [address for _, address in found]
        keys = self._searcher.fast_field_values("key", addresses)
        near = self._near(vector, _HALF, name)
        best = fused(keys, near)[:_TOP]
        known = dict(zip(keys, addresses, strict=True))
        return [self._hit(known.get(key) or self._address(key)) for key in best]

    def dense(self, vector: Vectors) -> list[Hit]:
        """Search FAISS, and read the texts from tantivy."""
        return [self._hit(self._address(key)) for key in self._near(vector, _TOP, "none")]

    def _near(self, vector: Vectors, count: int, name: str) -> list[int]:
        bitmap = self._bitmaps.get(name)
        selector = None if bitmap is None else self._faiss.IDSelectorBitmap(bitmap)
        probes = min(self._vectors.nlist, math.ceil(self.probes / SHARES[name]))
        options = self._faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        _, keys = self._vectors.search(vector[None], count, params=options)
        return [int(key) for key in keys[0] if key >= 0]

    def _address(self, key: int) -> Any:
        query = self._tantivy.Query.term_query(self._schema, "key", key)
        return self._searcher.search(query, 1, count=False).hits[0][1]

    def _hit(self, address: Any) -> Hit:
        document = self._searcher.doc(address)
        return Hit(document.get_first("document"), document.get_first("text"))


class QdrantLocal:
    """The local mode of Qdrant's client, which compares every vector: dense ones, and of words."""

    modules: Sequence[str] = ("qdrant_client",)
    packages: Sequence[str] = ("qdrant-client",)
    probes = 0

    def __init__(self, folder: Path) -> None:
        from qdrant_client import QdrantClient, models

        self._models = models
        self._client = QdrantClient(path=str(folder))
        if not self._client.collection_exists("chunks"):
            self._client.create_collection(
                "chunks",
                {"near": models.VectorParams(size=DIMENSION, distance=models.Distance.DOT)},
                {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )

    def add(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Upsert points."""
        points = [
            self._models.PointStruct(
                id=row.key,
                vector={"near": vector.tolist(), "words": self._sparse(bm25_weights(row.text))},
                payload={"document": row.document, "text": row.text, **row.fields},
            )
            for row, vector in zip(rows, vectors, strict=True)
        ]
        self._client.upsert("chunks", points)

    def finish(self) -> None:
        """Close it."""
        self._client.close()

    def open(self) -> None:
        """Do nothing: it is opened when it is made."""

    def hybrid(self, words: str, vector: Vectors, name: str) -> list[Hit]:
        """Search both, fused by Qdrant."""
        models = self._models
        only = [
            models.FieldCondition(key=field, match=models.MatchValue(value=value))
            for field, value in FILTERS[name].items()
        ]
        wanted = models.Filter(must=only) if only else None
        sparse = self._sparse(dict.fromkeys(map(code, _WORD.findall(words)), 1.0))
        found = self._client.query_points(
            "chunks",
            prefetch=[
                models.Prefetch(query=query, using=using, limit=_HALF, filter=wanted)
                for query, using in ((vector.tolist(), "near"), (sparse, "words"))
            ],
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            limit=_TOP,
        )
        return self._hits(found.points)

    def dense(self, vector: Vectors) -> list[Hit]:
        """Compare all vectors."""
        found = self._client.query_points("chunks", vector.tolist(), using="near", limit=_TOP)
        return self._hits(found.points)

    def _sparse(self, weights: Mapping[int, float]) -> Any:
        return self._models.SparseVector(indices=list(weights), values=list(weights.values()))

    def _hits(self, points: Sequence[Any]) -> list[Hit]:
        return [Hit(point.payload["document"], point.payload["text"]) for point in points]


class LanceHybrid:
    """LanceDB's hybrid search: IVF SQ and its full-text index, fused by its RRF."""

    modules: Sequence[str] = ("lancedb", "pyarrow")
    packages: Sequence[str] = ("lancedb", "pyarrow")

    def __init__(self, folder: Path) -> None:
        import lancedb

        self._database, self.probes = lancedb.connect(str(folder)), 1
        self._table: Any = None

    def add(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Append a batch of columns."""
        import pyarrow as pa

        flat = pa.array(vectors.reshape(-1), pa.float32())
        columns: dict[str, Any] = {
            "vector": pa.FixedSizeListArray.from_arrays(flat, DIMENSION),
            "document": [row.document for row in rows],
            "text": [row.text for row in rows],
        }
        for name in ("shelf", "floor", "wing"):
            columns[name] = [row.fields[name] for row in rows]
        batch = pa.table(columns)
        if self._table is None:
            self._table = self._database.create_table("chunks", batch)
        else:
            self._table.add(batch)

    def finish(self) -> None:
        """Merge the fragments, and build the indexes."""
        from lancedb.index import FTS, Bitmap, IvfSq

        table = self._table
        table.optimize()
        lists = lists_for(table.count_rows())
        table.create_index("vector", config=IvfSq(distance_type="cosine", num_partitions=lists))
        table.create_index("text", config=FTS())
        for name in ("shelf", "floor", "wing"):
            table.create_index(name, config=Bitmap())

    def open(self) -> None:
        """Open the table."""
        self._table = self._database.open_table("chunks")

    def hybrid(self, words: str, vector: Vectors, name: str) -> list[Hit]:
        """Search both, fused by LanceDB."""
        query = self._table.search(query_type="hybrid").vector(vector).text(words)
        probes = math.ceil(self.probes / SHARES[name])
        query = query.minimum_nprobes(probes).maximum_nprobes(probes)
        for field, value in FILTERS[name].items():
            query = query.where(f"{field} = {value!r}", prefilter=True)
        return self._hits(query.limit(_HALF).select(["document", "text"]))

    def dense(self, vector: Vectors) -> list[Hit]:
        """Search the vectors alone."""
        query = self._table.search(vector).distance_type("cosine")
        query = query.minimum_nprobes(self.probes).maximum_nprobes(self.probes)
        return self._hits(query.limit(_TOP).select(["document", "text", "_distance"]))

    def _hits(self, query: Any) -> list[Hit]:
        return [Hit(row["document"], row["text"]) for row in query.to_list()[:_TOP]]


ENGINES: Mapping[str, type[Engine]] = {
    "tantivy": TantivyFaiss,
    "qdrant": QdrantLocal,
    "lancedb": LanceHybrid,
}


def fused(*ranked: Sequence[int]) -> list[int]:
    """Order keys by the sum of their reciprocal ranks (Cormack et al. 2009)."""
    scores: dict[int, float] = {}
    for keys in ranked:
        for rank, key in enumerate(keys, 1):
            scores[key] = scores.get(key, 0.0) + 1 / (_RRF + rank)
    return sorted(scores, key=lambda key: (-scores[key], key))


def bm25_weights(
    text: str, k1: float = 1.2, b: float = 0.75, length: float = 80.0
) -> dict[int, float]:
    """Return BM25's weight of each word in a text, without its inverse document frequency."""
    counts = Counter(map(code, _WORD.findall(text.lower())))
    norm = k1 * (1 - b + b * counts.total() / length)
    return {word: count * (k1 + 1) / (count + norm) for word, count in counts.items()}


def code(word: str) -> int:
    """Return the number of a word."""
    return zlib.crc32(word.encode()) >> 1


def lists_for(count: int) -> int:
    """Inverted lists for ``count`` vectors, as many as our store has."""
    return min(count, round(4 * math.sqrt(count)))


def one_field(wanted: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, tuple[str, Any]]]:
    """Return the field and the value of each filter that has one."""
    return [(name, next(iter(fields.items()))) for name, fields in wanted.items() if fields]
