"""Measures how much of a query's wording occurs in the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag_index.types import TermStatistics


def term_coverage(terms: Sequence[TermStatistics]) -> float:
    """Share in [0, 1] of the terms' inverse document frequency mass that occurs in the store.

    A term found in ``n`` chunks counts for n / (n + 1) of its mass, because one chance mention in a
    large corpus means little. 0 for a query without terms.
    """
    total = sum(term.idf for term in terms)
    if total <= 0:
        return float(any(term.document_frequency for term in terms))
    covered = sum(
        term.idf * term.document_frequency / (term.document_frequency + 1) for term in terms
    )
    return covered / total
