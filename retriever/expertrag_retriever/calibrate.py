"""Calibration of a store on its own corpus, without labels, when a generation is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag_index.scales import read_scales
from expertrag_retriever.fusion import calibrate_fusion
from expertrag_retriever.gate import calibrate_coverage
from expertrag_retriever.scales import calibrate_partitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from expertrag_index.build import Calibrate
    from expertrag_index.index import Index
    from expertrag_index.manifest import JSON
    from expertrag_retriever.encoder import SentenceTransformerEmbedder


def calibrator(embedder: SentenceTransformerEmbedder) -> Calibrate:
    """Return the function that an ``IndexWriter`` calls on a generation before it is published.

    It records the score scales of the partitions (``partitions``, for an embedder with experts)
    and, measured on those scales, the fusion weight (``fusion``) and the coverage quantiles
    (``coverage``).
    """

    def calibrate(index: Index) -> Mapping[str, JSON]:
        partitions = calibrate_partitions(index, embedder)
        scales = {"partitions": partitions} if partitions else {}
        scaled = index.rescaled(read_scales(scales))
        return {
            **scales,
            "fusion": dict(calibrate_fusion(scaled, embedder)),
            "coverage": dict(calibrate_coverage(scaled, embedder)),
        }

    return calibrate
