"""The retrieval gate: decides per query whether the document store is worth consulting."""

from __future__ import annotations

from expertrag_retriever.gate.calibration import calibrate_coverage
from expertrag_retriever.gate.decision import Gate

__all__ = ["Gate", "calibrate_coverage"]
