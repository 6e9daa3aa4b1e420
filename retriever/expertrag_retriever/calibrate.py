"""What a store learns about its own corpus when a generation is built, without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag_retriever.fusion import calibrate_fusion
from expertrag_retriever.gate import calibrate_coverage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from expertrag_index.build import Calibrate
    from expertrag_index.index import Index
    from expertrag_index.manifest import JSON
    from expertrag_retriever.encoder import SentenceTransformerEmbedder


def calibrator(embedder: SentenceTransformerEmbedder) -> Calibrate:
    """Return the function that an ``IndexWriter`` calls on a generation before it is published.

    It stores the fusion weight (``fusion``) and the coverage quantiles (``coverage``).
    """

    def calibrate(index: Index) -> Mapping[str, JSON]:
        return {
            "fusion": dict(calibrate_fusion(index, embedder)),
            "coverage": dict(calibrate_coverage(index, embedder)),
        }

    return calibrate
