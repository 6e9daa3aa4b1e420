"""Measure what the gate decides by: the store, a prefill, a draft, and the question's domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from expertrag.answer.drafts import draft_features, truncate_draft
from expertrag.api.folding import join_deltas
from expertrag.api.types import Sampling
from expertrag.grounding.evidence import Encode
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.domains import domain_signals
from expertrag_retriever.gate.signals import Draft, SignalGroup

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext, ClosedBook
    from expertrag.llm.base import Generator
    from expertrag.stores.served_index import View
    from expertrag_retriever.base import Embedder
    from expertrag_retriever.gate.bundle import GateBundle
    from expertrag_retriever.types import PrefillSignals, StoreSignals

LOOKAHEAD_TOKENS = 6
"""Tokens that the gate reads. They are the first tokens of a closed-book answer. TARG finds the
margin of the first few tokens as informative as the margin of a whole draft."""

LeastDoubt = Callable[[], "float | None"]
"""Reads the best passages; returns the lowest doubt that one holds the answer, None if unknown."""


def store_signals(context: AnswerContext, least_doubt: LeastDoubt | None) -> StoreSignals:
    """Measure the store's signals; read the best passages if these are inconclusive."""
    request, gate = context.request, context.view.gate
    with context.meter.stage("gate"):
        signals = gate.store_signals(
            request.question, context.question_vectors, request.filter or None
        )
    if least_doubt is None or not gate.is_unsure(signals):
        return signals
    with context.meter.stage("check"):
        doubt = least_doubt()
    return signals if doubt is None else replace(signals, p_sufficient=1 - doubt)


def prefill_signals(context: AnswerContext, answer: ClosedBook) -> PrefillSignals | None:
    """Read the first tokens of the closed-book answer."""
    context.should_stop()
    with context.meter.stage("prefill"):
        return answer.session.peek(LOOKAHEAD_TOKENS)


def draft_signals(context: AnswerContext, answer: ClosedBook, generator: Generator) -> Draft:
    """Generate the whole closed-book answer, and read its beginning."""
    reader = generator.white_box
    assert reader is not None, "checked when the gate was loaded"
    policy = generator.make_policy(Sampling(), context.route.pattern, context.policy.salt)
    with context.meter.stage("draft"):
        answer.draft = join_deltas(list(answer.session.deltas()))
        context.should_stop()
        text = truncate_draft(answer.draft.text)
        ((_, reading),) = reader.read([(context.closed_book, text)], policy)
        embedding = base_encoder(context.view.embedder)([text or " "])
    context.meter.add(lm_calls=1)  # the reading
    return draft_features(text, embedding[0], reading)


def question_domains(
    bundle: GateBundle, context: AnswerContext
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the router's signals for a question, if the gate uses them, and warnings."""
    embedder = context.view.embedder
    if SignalGroup.DOMAIN not in bundle.groups:
        return {}, ()
    if embedder.fingerprint != bundle.needs.router:
        return {}, (
            f"the gate was fitted with the domain router of {bundle.needs.embedder}, and "
            f"{embedder.name} has another or none: domain signals are set to their means",
        )
    return domain_signals(context.route.domains), ()


def base_encoder(embedder: Embedder) -> Encode:
    """Return a function that embeds texts with the base model, without domain experts."""
    return lambda texts: embedder.encode_queries_by_experts(texts, [GENERAL])[:, 0]


def is_fitted_for(bundle: GateBundle, view: View) -> bool:
    """Return whether a gate was fitted with the base embedder of a store."""
    return bundle.needs.embedder_fingerprint == view.embedder.fingerprint_of_expert(GENERAL)
