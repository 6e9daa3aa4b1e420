"""States the reason for a decision: one sentence with the decisive evidence."""

from __future__ import annotations

from collections.abc import Mapping

from expertrag_retriever.gate.odds import log_odds
from expertrag_retriever.gate.policy import BenefitEstimate
from expertrag_retriever.types import SIGNAL_GROUPS, GateMode, PrefillSignals, StoreSignals

_FORCED = {
    GateMode.NEVER: "The caller asked for no retrieval, so the model answers alone.",
    GateMode.ALWAYS: "The caller asked for retrieval, so the documents are consulted.",
    GateMode.STRICT: (
        "The caller wants an answer from the documents or none, so they are consulted."
    ),
}
_SURE = 0.25  # p(correct closed book); the constants allow 0.38 at most


def explain_mode(mode: GateMode) -> str:
    """Return the reason for a decision in a mode other than AUTO."""
    return _FORCED[mode]


def explain_estimate(
    estimate: BenefitEstimate,
    threshold: float,
    prefill: PrefillSignals | None,
    store: StoreSignals | None,
) -> str:
    """Return the reason for a decision in mode AUTO."""
    documents = _documents(estimate, store)
    about = estimate.p_documents >= 0.5
    if estimate.p_benefit >= threshold:
        if about and prefill and _is_sure(estimate):
            return f"{documents}, so they are consulted although {_model(estimate, prefill)}."
        if about:
            return f"{documents} and {_model(estimate, prefill)}, so the documents are consulted."
        return f"{documents}, but {_comparison(estimate, threshold)}, so they are consulted."
    if not about:
        return f"{documents}, so the model answers alone."
    if prefill and _is_sure(estimate):
        return f"{documents}, but {_model(estimate, prefill)}, so it answers alone."
    return f"{documents}, but {_comparison(estimate, threshold)}, so the model answers alone."


def _comparison(estimate: BenefitEstimate, threshold: float) -> str:
    relation = "reaches" if estimate.p_benefit >= threshold else "is below"
    benefit, least = _distinct(estimate.p_benefit, threshold)
    return f"the benefit {benefit} {relation} the threshold {least}"


def _distinct(a: float, b: float) -> tuple[str, str]:
    """Format two probabilities with two decimals, or with more if they would look equal."""
    decimals = next((n for n in (2, 3, 4) if a == b or f"{a:.{n}f}" != f"{b:.{n}f}"), 6)
    return f"{a:.{decimals}f}", f"{b:.{decimals}f}"


def _documents(estimate: BenefitEstimate, store: StoreSignals | None) -> str:
    if store is None:
        return "What the documents cover is not known"
    figures = f"(coverage {store.coverage:.2f}, terms found {store.term_coverage:.2f})"
    if estimate.p_documents >= 0.8:
        return f"The question is about the documents {figures}"
    if estimate.p_documents >= 0.5:
        return f"The question is probably about the documents {figures}"
    return f"The question is not about the documents {figures}"


def _model(estimate: BenefitEstimate, prefill: PrefillSignals | None) -> str:
    if prefill is None:
        return "the model does not report its confidence"
    manner = "fairly sure of its own answer" if _is_sure(estimate) else "unsure of its own answer"
    return f"the model is {manner} (margin {prefill.margin:.2f})"


def _is_sure(estimate: BenefitEstimate) -> bool:
    return estimate.p_correct_closed_book >= _SURE


def explain_fitted(p_benefit: float, threshold: float, contributions: Mapping[str, float]) -> str:
    """Return the reason for a fitted gate's decision, and what would have changed it.

    :param contributions: by group of signals, in nats.
    """
    retrieve = p_benefit >= threshold
    relation = "reaches" if retrieve else "is below"
    action = "the documents are consulted" if retrieve else "the model answers alone"
    notable = {name: value for name, value in contributions.items() if abs(value) >= _NOTABLE}
    listing = ", ".join(
        f"{SIGNAL_GROUPS[name]} {value:+.2f}"
        for name, value in sorted(notable.items(), key=lambda item: -abs(item[1]))
    )
    grounds = f" ({listing})" if listing else ""
    decisive = [
        SIGNAL_GROUPS[name]
        for name, value in notable.items()
        if (log_odds(p_benefit) - value >= log_odds(threshold)) != retrieve
    ]
    opposite = f" Without {' or '.join(decisive)}, the decision would be the opposite."
    without = opposite if decisive else ""
    benefit, least = _distinct(p_benefit, threshold)
    return f"The benefit {benefit}{grounds} {relation} the threshold {least}, so {action}.{without}"


_NOTABLE = 0.05  # nats; less changes a probability by at most a hundredth
