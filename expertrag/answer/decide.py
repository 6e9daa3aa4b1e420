"""The gate's step of an answer: measure the signals that the gate uses, then decide."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from expertrag.answer.drafts import draft_features, truncate_draft
from expertrag.answer.internal import is_internal, or_internal, p_internal
from expertrag.api.errors import Conflict
from expertrag.api.folding import join_deltas
from expertrag.api.types import (
    GATE_STAGES,
    GateAction,
    GateDecision,
    GateMode,
    Sampling,
    Usage,
)
from expertrag.grounding.evidence import Encode, evidence_signals
from expertrag.llm.prompt import asks_to_explain
from expertrag.models import is_english_only
from expertrag_index.words.language import is_english
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate import fitted
from expertrag_retriever.gate.budget import NOTHING, RateController, guarantee_threshold
from expertrag_retriever.gate.constants import CONSTANTS
from expertrag_retriever.gate.cost import FEWEST, MarginalCost
from expertrag_retriever.gate.domains import domain_signals
from expertrag_retriever.gate.odds import logistic
from expertrag_retriever.gate.signals import Draft, SignalGroup, Signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from expertrag.answer.context import AnswerContext, ClosedBook
    from expertrag.answer.reading_policy import ReadingPolicy
    from expertrag.answer.served_gate import ServedGate
    from expertrag.config import GateConfig
    from expertrag.llm.base import Generator
    from expertrag.runtime.meter import Meter
    from expertrag.stores.served_index import View
    from expertrag_retriever.encoder import SentenceTransformerEmbedder
    from expertrag_retriever.gate.bundle import GateBundle
    from expertrag_retriever.types import Passage, PrefillSignals, StoreSignals

LOOKAHEAD_TOKENS = 6
"""Tokens that the gate reads. They are the first tokens of a closed-book answer; TARG finds the
margin of the first few tokens as informative as that of a whole draft."""

LeastDoubt = Callable[[], "float | None"]
"""Reads the best passages; returns the lowest doubt that one holds the answer, None if unknown."""

FOUND = 0.5
"""Share of a question's words, weighted by rarity, that the documents must hold to retrieve for a
question in a language that the embedder does not support."""

UNSURE = 0.25
"""Share of the threshold above which a question may still be about the documents."""

ABOUT_CONVERSATION = (
    "The message is about the conversation itself, so the model answers it from the conversation."
)

QUOTES = (
    "an answer from the documents quotes them: the instructions of the request, such as a language "
    "to answer in, hardly change it"
)

LEAST_BENEFIT = 0.001
"""Threshold if a retrieval costs nothing: without any benefit, do not retrieve."""


class Decider:
    """Runs the training-free gate of the store, or a fitted gate."""

    def __init__(
        self,
        generator: Generator,
        reading: ReadingPolicy,
        gate: ServedGate | None,
        policy: GateConfig,
    ) -> None:
        """Decide by a fitted gate, or by the training-free one without it.

        :param policy: threshold, target rate or price; without any, the gate's own threshold.
        """
        self._generator = generator
        self._reading = reading
        self._gate = gate
        self._policy = policy
        self._cost = MarginalCost()
        self._lock = threading.Lock()
        self._budget: tuple[str, RateController] | None = None

    def name(self, view: View) -> str:
        """Return the name of the gate that decides for a store."""
        return self._gate.current().version if self._gate else view.gate.name

    def decide(
        self,
        context: AnswerContext,
        answer: ClosedBook,
        least_doubt: LeastDoubt,
    ) -> GateDecision:
        """Decide; only AUTO computes signals.

        :param least_doubt: reads the best passages, if the signals leave it open whether the
            question is about the documents.
        """
        decision = self._decide(context, answer, least_doubt)
        route = context.route
        quotes = decision.retrieve and self._reading.reader and context.request.instructions
        return replace(
            decision,
            warnings=(*decision.warnings, QUOTES) if quotes else decision.warnings,
            domains=route.domains,
            expert=route.expert,
            pattern=route.pattern,
            rewritten_question=context.asked.rewritten,
        )

    def _decide(
        self, context: AnswerContext, answer: ClosedBook, least_doubt: LeastDoubt
    ) -> GateDecision:
        request, view = context.request, context.view
        bundle = self._gate.current() if self._gate else None
        if context.asked.about_conversation:
            return GateDecision(GateAction.CLOSED_BOOK, context.mode, ABOUT_CONVERSATION)
        if context.mode is not GateMode.AUTO:
            forced = view.gate.decide(context.mode, prefill=None, store=None)
            judged = context.mode is GateMode.STRICT and bundle and bundle.sufficiency
            return replace(forced, calibrator=bundle.version) if bundle and judged else forced
        budget = self._rate_controller(bundle)
        threshold, why = request.threshold, ""
        if threshold is None:
            threshold, why = self._rule(budget)
        # a budget and a caller's threshold are calibrated on scores without read passages
        reads = budget is None and request.threshold is None
        decision = self._judge(context, answer, bundle, threshold, least_doubt if reads else None)
        decision = self._or_strictly(decision)
        if budget is None and request.threshold is None:  # these apply in every language
            decision = _by_words(decision, request.question, view)
            if not decision.retrieve or self._withholds(context):
                internal = p_internal(self._reading.internal, self._generator, context)
                decision = or_internal(decision, internal)
        if budget is not None:
            budget.observe(retrieved=decision.retrieve)
        if not why or decision.p_benefit is None or decision.threshold is None:
            return decision
        own = bundle.threshold if bundle else CONSTANTS.threshold
        if (decision.p_benefit >= decision.threshold) != (decision.p_benefit >= own):
            why += f"; by its own, {own:.2f}, the gate would have decided otherwise"
        return replace(decision, reason=f"{decision.reason} {why}.")

    def _withholds(self, context: AnswerContext) -> bool:
        """Return whether an answer to an internal question is withheld until it is judged.

        An explanation is not: it is long, and would come late.
        """
        explains = asks_to_explain(context.request.question)
        return self._reading.confidence is not None and not explains

    def _or_strictly(self, decision: GateDecision) -> GateDecision:
        """Retrieve for a question that may be about the documents, if the policy says so."""
        benefit, threshold = decision.p_benefit, decision.threshold
        if self._policy.unsure != "strict" or decision.retrieve:
            return decision
        if benefit is None or threshold is None or benefit < UNSURE * threshold:
            return decision
        if _p_documents(decision) < CONSTANTS.unsure[0]:  # small talk, general knowledge
            return decision
        return replace(
            decision,
            action=GateAction.RETRIEVE,
            reason=f"The benefit {benefit:.2f} is below the threshold {threshold:.2f}, but the "
            "question may be about the documents, so it is answered strictly from them.",
        )

    def strictly(self, decision: GateDecision) -> bool:
        """Return whether to answer a question from the documents or not at all."""
        if is_internal(decision):
            return True
        if self._policy.unsure != "strict" or decision.mode is not GateMode.AUTO:
            return False
        if not decision.retrieve:
            return False
        benefit, threshold = decision.p_benefit, decision.threshold
        return benefit is not None and threshold is not None and benefit < threshold

    def record_cost(self, decision: GateDecision, usage: Usage) -> None:
        """Record the cost of an answer in AUTO."""
        if decision.mode is GateMode.AUTO:
            seconds = usage.stage_seconds
            spent = sum(seconds[name] for name in seconds if name not in GATE_STAGES)
            self._cost.observe(spent, retrieved=decision.retrieve)

    def _rule(self, budget: RateController | None) -> tuple[float | None, str]:
        """Return the policy's threshold (None for the gate's own), and the reason for it."""
        if budget is not None:
            kept = f"keeps retrieval at {budget.target * 100:g} % of the questions"
            return budget.threshold, f"The threshold {kept}"
        value = self._policy.answer_value_s
        if value is None:
            return self._policy.threshold, ""
        cost = self._cost.seconds
        if cost is None:
            return None, (
                f"The cost of a retrieval here is not known before {FEWEST} answers of each kind, "
                "so the gate's own threshold applies"
            )
        return min(max(cost / value, LEAST_BENEFIT), NOTHING), (
            f"A retrieval takes {cost:.2g} s longer here, and a right answer is worth {value:g} s, "
            "which sets the threshold"
        )

    def p_sufficient(
        self, question: str, passages: Sequence[Passage], view: View, meter: Meter
    ) -> float | None:
        """Return the probability that passages hold the answer.

        None if no fitted gate judges passages, or not with the store's embedder.
        """
        bundle = self._gate.current() if self._gate else None
        if bundle is None or bundle.sufficiency is None or not _same_embedder(bundle, view):
            return None
        with meter.stage("judge"):
            signals = Signals(evidence_signals(question, passages, base_encoder(view.embedder)))
            return float(bundle.sufficiency.probability([signals])[0])

    def _rate_controller(self, bundle: GateBundle | None) -> RateController | None:
        """Return the rate controller of the current gate; None without a target rate."""
        target = self._policy.target_rate
        if target is None:
            return None
        name = bundle.version if bundle else CONSTANTS.name
        with self._lock:
            if self._budget is None or self._budget[0] != name:
                scores = bundle.benefits if bundle else ()
                start = CONSTANTS.threshold
                if bundle:
                    start = guarantee_threshold(scores, target, self._policy.max_violation)
                self._budget = name, RateController(target, scores, start)
            return self._budget[1]

    def _judge(
        self,
        context: AnswerContext,
        answer: ClosedBook,
        bundle: GateBundle | None,
        threshold: float | None,
        least_doubt: LeastDoubt | None,
    ) -> GateDecision:
        """Measure the signals and decide."""
        request, view, meter = context.request, context.view, context.meter
        if bundle is None:
            seen = self._store(context, least_doubt)
            begun = self._prefill(context, answer)
            decision = view.gate.decide(
                context.mode, prefill=begun, store=seen, threshold=threshold
            )
            return _with_passages(decision, seen)
        if not _same_embedder(bundle, view):
            return fitted.decide_unjudged(
                f"the store was migrated to the embedder {view.embedder.name}, and the gate was "
                f"fitted with {bundle.needs.embedder}",
                bundle.version,
            )
        groups = bundle.groups
        store = prefill = None
        if SignalGroup.STORE in groups:
            store = self._store(context, least_doubt)
        if SignalGroup.PREFILL in groups:
            prefill = self._prefill(context, answer)
        draft = self._draft(context, answer) if SignalGroup.DRAFT in groups else None
        with meter.stage("gate"):
            domains, unlike = _domains(bundle, context)
            signals = view.gate.signals(
                request.question,
                context.question_vectors,
                prefill=prefill,
                store=store,
                draft=draft,
                domains=domains,
            )
            decision = fitted.decide(bundle, signals, threshold=threshold)
            decision = replace(decision, warnings=(*decision.warnings, *unlike))
            return _with_passages(decision, store)

    def _store(self, context: AnswerContext, least_doubt: LeastDoubt | None) -> StoreSignals:
        """Measure the store's signals; read the best passages if these are inconclusive."""
        request, gate = context.request, context.view.gate
        with context.meter.stage("gate"):
            seen = gate.store_signals(
                request.question, context.question_vectors, request.filter or None
            )
        if least_doubt is None or not gate.is_unsure(seen):
            return seen
        with context.meter.stage("check"):
            doubt = least_doubt()
        return seen if doubt is None else replace(seen, p_sufficient=1 - doubt)

    def _prefill(self, context: AnswerContext, answer: ClosedBook) -> PrefillSignals | None:
        context.should_stop()
        with context.meter.stage("prefill"):
            return answer.session.peek(LOOKAHEAD_TOKENS)

    def _draft(self, context: AnswerContext, answer: ClosedBook) -> Draft:
        """Generate the whole closed-book answer, and read its beginning."""
        reader = self._generator.white_box
        assert reader is not None, "checked when the gate was loaded"
        salt = context.policy.salt
        policy = self._generator.make_policy(Sampling(), context.route.pattern, salt)
        with context.meter.stage("draft"):
            answer.draft = join_deltas(list(answer.session.deltas()))
            context.should_stop()
            text = truncate_draft(answer.draft.text)
            ((_, reading),) = reader.read([(context.closed_book, text)], policy)
            embedding = base_encoder(context.view.embedder)([text or " "])
        context.meter.add(lm_calls=1)  # the reading
        return draft_features(text, embedding[0], reading)


def _p_documents(decision: GateDecision) -> float:
    """Return the probability that a question is about the documents; 1 if a gate does not say."""
    signals = decision.signals
    if "documents_log_odds" in signals:  # of a fitted gate
        return float(logistic(signals["documents_log_odds"]))
    return signals.get("p_documents", 1.0)


def _with_passages(decision: GateDecision, store: StoreSignals | None) -> GateDecision:
    """Add the result of reading passages to a decision, if any were read."""
    if store is None or store.p_sufficient is None:
        return decision
    p_sufficient = store.p_sufficient
    return replace(
        decision,
        reason=f"{decision.reason} The best passages were read because it was unclear whether the "
        "question is about the documents: one holds the answer with probability "
        f"{p_sufficient:.2f}.",
        signals={**decision.signals, "p_sufficient": p_sufficient},
    )


def _by_words(decision: GateDecision, question: str, view: View) -> GateDecision:
    """Decide by words alone if the embedder does not support the question's language."""
    if is_english(question) is not False or not is_english_only(view.embedder.name):
        return decision
    note = f"The question is not English, and the embedder {view.embedder.name} is English-only"
    coverage = decision.signals.get("term_coverage", 0.0)
    if decision.retrieve or coverage < FOUND:
        return replace(decision, reason=f"{decision.reason} {note}.")
    return replace(
        decision,
        action=GateAction.RETRIEVE,
        reason=f"{note}: the documents hold its words ({coverage:.2f}), so passages are retrieved.",
    )


def _domains(
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


def base_encoder(embedder: SentenceTransformerEmbedder) -> Encode:
    """Return a function that embeds texts with the base model, without domain experts."""
    return lambda texts: embedder.encode_queries_by_experts(texts, [GENERAL])[:, 0]


def _same_embedder(bundle: GateBundle, view: View) -> bool:
    """Return whether a store's base embedder is the one that a gate was fitted with."""
    return bundle.needs.embedder_fingerprint == view.embedder.fingerprint_of_expert(GENERAL)


def check_drafts(bundle: GateBundle, generator: Generator) -> None:
    """Check that the language model can read drafts, if the gate uses them.

    :raises Conflict: if the gate uses drafts, and the model gives no probabilities of a text.
    """
    if SignalGroup.DRAFT in bundle.groups and generator.white_box is None:
        raise Conflict(
            f"the gate {bundle.version} reads drafts, which {generator.name} cannot do: use a "
            "model that runs in this process, or a gate without 'draft' signals",
            reason="GATE_MISMATCH",
            metadata={"gate": bundle.version},
        )
