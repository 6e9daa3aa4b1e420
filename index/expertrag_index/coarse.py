"""Coarse centroids of a partition: its subjects in a few vectors, for the gate's quick look."""

from __future__ import annotations

import math
import sqlite3

import faiss
import numpy as np

from expertrag_index.errors import StoreCorruptError
from expertrag_index.rows import vectors_of
from expertrag_index.types import FloatArray, KeyArray

MAX_CENTROIDS = 256
_MAX_SAMPLE = 20_000  # 384 dimensions, 141 centroids, 8 rounds: 0.8 s on 2 cores
_ROUNDS = 8
_SEED = 1234


def train(connection: sqlite3.Connection, keys: KeyArray) -> FloatArray:
    """Spherical k-means centroids [C, D] of the chunks with these keys (at least one)."""
    step = math.ceil(len(keys) / _MAX_SAMPLE)
    vectors = vectors_of(connection, keys[::step])
    count = max(1, min(MAX_CENTROIDS, round(math.sqrt(len(vectors)))))
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=_ROUNDS,
        seed=_SEED,
        spherical=True,
        min_points_per_centroid=1,
    )
    kmeans.train(vectors)
    return np.asarray(kmeans.centroids, dtype=np.float32)


def serialise(centroids: FloatArray) -> bytes:
    """Make the content of the centroids' file: float32, little-endian, row by row.

    Not .npy: numpy parses its header with ``ast``, which fails now and then where several threads
    do it at once (CPython 3.11: "AST constructor recursion depth mismatch").
    """
    return centroids.astype("<f4").tobytes()


def deserialise(data: bytes, dimension: int) -> FloatArray:
    """Parse a file whose checksum has been verified."""
    if not data or len(data) % (4 * dimension):
        raise StoreCorruptError("the centroids are not what the manifest describes")
    return np.frombuffer(data, "<f4").reshape(-1, dimension).astype(np.float32)
