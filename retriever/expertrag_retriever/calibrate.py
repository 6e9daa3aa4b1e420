"""Calibration of a store on its own corpus, without labels, when a generation is built.

Measuring takes seconds, whatever the size of the store. A small update therefore keeps the last
measurement, as long as the chunks that it was made on are still nearly all of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from expertrag_index.search.scales import read_scales
from expertrag_retriever.fusion import Fusion, calibrate_fusion
from expertrag_retriever.gate import calibrate_coverage
from expertrag_retriever.rerank.estimate import RerankEstimate, estimate_gain
from expertrag_retriever.scales import calibrate_partitions

if TYPE_CHECKING:
    from expertrag_index.build.context import Calibrate
    from expertrag_index.store.index import Index
    from expertrag_index.store.manifest import JSON
    from expertrag_retriever.base import Embedder
    from expertrag_retriever.rerank.base import Reranker

_CHANGED = 0.1  # share of added and removed chunks up to which a measurement is kept


def calibrator(embedder: Embedder, reranker: Reranker | None = None) -> Calibrate:
    """Return the function that an ``IndexWriter`` calls on a generation before it is published.

    It records the score scales of the partitions (``partitions``, for an embedder with experts).
    On those scales it measures the fusion weight (``fusion``) and the coverage quantiles
    (``coverage``). ``measured`` says on which chunks: their number, and the newest key.

    :param reranker: its gain is estimated and recorded as well (``rerank``); without one, an
        earlier estimate is kept.
    """

    def calibrate(index: Index) -> Mapping[str, JSON]:
        partitions = calibrate_partitions(index, embedder)
        scales = {"partitions": partitions} if partitions else {}
        last = index.manifest.calibration
        if last.get("partitions", {}) == partitions and _still_holds(last.get("measured"), index):
            return _with_estimate(last, index, embedder, reranker)
        scaled = index.rescale(read_scales(scales))
        measured: dict[str, JSON] = {
            **scales,
            "fusion": dict(calibrate_fusion(scaled, embedder)),
            "coverage": dict(calibrate_coverage(scaled, embedder)),
            "measured": {"chunks": index.size, "newest": index.newest_key},
        }
        if reranker is None and "rerank" in last:
            measured["rerank"] = last["rerank"]
        return _with_estimate(measured, scaled, embedder, reranker)

    return calibrate


def make_completeness_check(reranker: Reranker | None) -> Callable[[Mapping[str, object]], bool]:
    """Return a function: whether a calibration has all that ``calibrator`` measures."""

    def complete(calibration: Mapping[str, object]) -> bool:
        return bool(calibration) and (reranker is None or _has_estimate(calibration, reranker))

    return complete


def _with_estimate(
    calibration: Mapping[str, JSON],
    index: Index,
    embedder: Embedder,
    reranker: Reranker | None,
) -> Mapping[str, JSON]:
    """Add the estimate of a reranker, unless the calibration has it."""
    if reranker is None or _has_estimate(calibration, reranker):
        return calibration
    fusion = Fusion.of(calibration)
    return {**calibration, "rerank": estimate_gain(index, embedder, reranker, fusion).to_manifest()}


def _has_estimate(calibration: Mapping[str, object], reranker: Reranker) -> bool:
    known = RerankEstimate.of(calibration)
    return known is not None and known.fingerprint == reranker.fingerprint


def _still_holds(measured: JSON, index: Index) -> bool:
    """Return whether few chunks were added or removed since; a replaced chunk counts as both."""
    if not isinstance(measured, Mapping):
        return False  # none, or one by an earlier version
    chunks, newest = int(str(measured["chunks"])), int(str(measured["newest"]))
    added = index.newer_than(newest)
    removed = chunks - (index.size - added)
    return added + removed <= _CHANGED * chunks
