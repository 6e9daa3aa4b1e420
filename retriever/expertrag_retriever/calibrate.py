"""Calibration of a store on its own corpus, without labels, when a generation is built.

Measuring takes seconds, whatever the size of the store. A small update therefore keeps the last
measurement, as long as the chunks that it was made on are still nearly all of the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from expertrag_index.scales import read_scales
from expertrag_retriever.fusion import calibrate_fusion
from expertrag_retriever.gate import calibrate_coverage
from expertrag_retriever.scales import calibrate_partitions

if TYPE_CHECKING:
    from expertrag_index.build import Calibrate
    from expertrag_index.index import Index
    from expertrag_index.manifest import JSON
    from expertrag_retriever.encoder import SentenceTransformerEmbedder

_CHANGED = 0.1  # share of added and removed chunks up to which a measurement is kept


def calibrator(embedder: SentenceTransformerEmbedder) -> Calibrate:
    """Return the function that an ``IndexWriter`` calls on a generation before it is published.

    It records the score scales of the partitions (``partitions``, for an embedder with experts)
    and, measured on those scales, the fusion weight (``fusion``) and the coverage quantiles
    (``coverage``). ``measured`` tells on which chunks: their number, and the newest key.
    """

    def calibrate(index: Index) -> Mapping[str, JSON]:
        partitions = calibrate_partitions(index, embedder)
        scales = {"partitions": partitions} if partitions else {}
        last = index.manifest.calibration
        if last.get("partitions", {}) == partitions and _still_holds(last.get("measured"), index):
            return last
        scaled = index.rescaled(read_scales(scales))
        return {
            **scales,
            "fusion": dict(calibrate_fusion(scaled, embedder)),
            "coverage": dict(calibrate_coverage(scaled, embedder)),
            "measured": {"chunks": index.size, "newest": index.newest_key},
        }

    return calibrate


def _still_holds(measured: JSON, index: Index) -> bool:
    """Whether few chunks have been added or removed since a measurement, replaced ones as both."""
    if not isinstance(measured, Mapping):
        return False  # none, or one by an earlier version
    chunks, newest = int(str(measured["chunks"])), int(str(measured["newest"]))
    added = index.newer_than(newest)
    removed = chunks - (index.size - added)
    return added + removed <= _CHANGED * chunks
