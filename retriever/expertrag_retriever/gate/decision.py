"""The gate of one store generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate import explain
from expertrag_retriever.gate.constants import CONSTANTS
from expertrag_retriever.gate.coverage import read_coverage
from expertrag_retriever.gate.policy import BenefitEstimate, estimate
from expertrag_retriever.gate.signals import (
    Draft,
    Signals,
    collect_signals,
    numbers_of,
    store_numbers,
)
from expertrag_retriever.gate.terms import term_coverage
from expertrag_retriever.types import (
    GateAction,
    GateDecision,
    GateMode,
    PrefillSignals,
    StoreSignals,
)

if TYPE_CHECKING:
    from expertrag_index.store.index import Index
    from expertrag_index.types import Filter, FloatArray, Query


class Gate:
    """Decides from the contents of the store and the model's first tokens. Thread-safe.

    Training-free: it uses documented constants and distributions measured on the store itself.
    """

    name = CONSTANTS.name

    def __init__(self, index: Index) -> None:
        """Read the calibration of ``index``; the gate keeps a reference to the index."""
        self._index = index
        self._coverage = read_coverage(index.manifest.calibration, index.dimension)

    def store_signals(
        self, query: str, query_vector: Query, filter: Filter | None = None
    ) -> StoreSignals:
        """Measure the similarity of the nearest chunk of all partitions, and the term coverage.

        :param query_vector: the query's embedding [D]; for a store with partitions by expert, the
            embedding by each expert and by "general", which is compared with the background
            requests.
        :param filter: restricts which chunks may be the nearest.
        :raises FilterError: unknown field or operator.
        """
        base = _base(query_vector)
        similarity = self._index.best_similarity(query_vector, filter)
        return StoreSignals(
            similarity=similarity,
            coverage=self._coverage.share_below(similarity),
            term_coverage=term_coverage(self._index.term_statistics(self._index.respell(query))),
            background_similarity=self._coverage.background_similarity(base),
        )

    def evidence(self, query_vector: Query, filter: Filter | None = None) -> float:
        """Log odds, in nats, that the store is about a query, by the nearest chunk alone.

        For the arguments see :meth:`store_signals`.
        """
        similarity = self._index.best_similarity(query_vector, filter)
        return self._coverage.nearness.evidence(similarity)

    def is_unsure(self, store: StoreSignals) -> bool:
        """Whether the store signals are inconclusive, so that the passages should be read."""
        low, high = CONSTANTS.unsure
        return low <= estimate(None, store, self._coverage, CONSTANTS).p_documents <= high

    def signals(
        self,
        query: str,
        query_vector: Query,
        *,
        prefill: PrefillSignals | None,
        store: StoreSignals | None,
        draft: Draft | None = None,
        domains: Mapping[str, float] | None = None,
    ) -> Signals:
        """Collect the signals that a fitted gate may use."""
        extra = dict(domains or {})
        if store is not None:
            estimated = estimate(None, store, self._coverage, CONSTANTS)
            extra |= store_numbers(estimated.p_documents)
        return collect_signals(
            query, _base(query_vector), prefill=prefill, draft=draft, extra=Signals(extra)
        )

    def decide(
        self,
        mode: GateMode,
        *,
        prefill: PrefillSignals | None,
        store: StoreSignals | None,
        threshold: float | None = None,
    ) -> GateDecision:
        """Decide; a mode other than AUTO is obeyed regardless of the signals.

        :param prefill: None if the model does not expose token probabilities.
        :param store: None if the store was not consulted.
        :param threshold: smallest p(benefit) that retrieves; None for the gate's own.
        """
        if mode is not GateMode.AUTO:
            closed = mode is GateMode.NEVER
            return GateDecision(
                action=GateAction.CLOSED_BOOK if closed else GateAction.RETRIEVE,
                mode=mode,
                reason=explain.explain_mode(mode),
                calibrator=self.name,
            )
        threshold = CONSTANTS.threshold if threshold is None else threshold
        estimated = estimate(prefill, store, self._coverage, CONSTANTS)
        retrieve = estimated.p_benefit >= threshold
        return GateDecision(
            action=GateAction.RETRIEVE if retrieve else GateAction.CLOSED_BOOK,
            mode=mode,
            reason=explain.explain_estimate(estimated, threshold, prefill, store),
            threshold=threshold,
            p_benefit=estimated.p_benefit,
            p_correct_closed_book=estimated.p_correct_closed_book,
            signals=_signals(estimated, prefill, store),
            calibrator=self.name,
        )


def _base(query_vector: Query) -> FloatArray:
    """Return the embedding by the base model [D], also for a store with partitions by expert."""
    return query_vector[GENERAL] if isinstance(query_vector, Mapping) else query_vector


def _signals(
    estimated: BenefitEstimate, prefill: PrefillSignals | None, store: StoreSignals | None
) -> dict[str, float]:
    """Raw values by name; what was not measured is absent."""
    return {**numbers_of(store), **numbers_of(prefill), "p_documents": estimated.p_documents}
