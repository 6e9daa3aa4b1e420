"""The gate's step of an answer: decide from its signals whether to consult the documents."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from expertrag.answer.gate_signals import (
    LeastDoubt,
    base_encoder,
    draft_signals,
    is_fitted_for,
    prefill_signals,
    question_domains,
    store_signals,
)
from expertrag.answer.internal import is_internal, p_internal, retrieve_if_internal
from expertrag.answer.verdict import Verdict
from expertrag.api.errors import Conflict
from expertrag.api.types import GATE_STAGES, GateAction, GateDecision, GateMode, Usage
from expertrag.grounding.evidence import evidence_signals
from expertrag.llm.prompt import asks_to_explain
from expertrag.models import is_english_only
from expertrag_index.words.language import is_english
from expertrag_retriever.gate import fitted
from expertrag_retriever.gate.budget import NOTHING, RateController, guarantee_threshold
from expertrag_retriever.gate.constants import CONSTANTS
from expertrag_retriever.gate.cost import FEWEST, MarginalCost
from expertrag_retriever.gate.odds import logistic
from expertrag_retriever.gate.signals import SignalGroup, Signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from expertrag.answer.context import AnswerContext, ClosedBook
    from expertrag.answer.question_set import QuestionSet
    from expertrag.answer.reading_policy import ReadingPolicy
    from expertrag.answer.served_gate import ServedGate
    from expertrag.config import GateConfig
    from expertrag.llm.base import Generator
    from expertrag.runtime.meter import Meter
    from expertrag.stores.served_index import View
    from expertrag_retriever.gate.bundle import GateBundle
    from expertrag_retriever.types import Passage, StoreSignals

FOUND = 0.5
"""Share of a question's words, by rarity, that the documents must hold to retrieve for it, if the
embedder does not support its language."""

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
        bundle = self._gate.current() if self._gate else None
        if context.asked.about_conversation:
            decision = GateDecision(GateAction.CLOSED_BOOK, context.mode, ABOUT_CONVERSATION)
        elif self._is_about_set(context):
            decision = self._decide_by_set(context.asks_about)
        elif context.mode is GateMode.AUTO:
            decision = self._decide_by_signals(context, answer, bundle, least_doubt)
        else:
            decision = context.view.gate.decide(context.mode, prefill=None, store=None)
            if context.mode is GateMode.STRICT and bundle and bundle.sufficiency:
                decision = replace(decision, calibrator=bundle.version)
        route = context.route
        quotes = decision.retrieve and self._reading.reader and context.request.instructions
        return replace(
            decision,
            warnings=(*decision.warnings, QUOTES) if quotes else decision.warnings,
            domains=route.domains,
            expert=route.expert,
            pattern=route.pattern,
            rewritten_question=context.asked.rewritten,
            scope=context.scope,
        )

    def is_strict(self, decision: GateDecision) -> bool:
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

    def p_sufficient(
        self, question: str, passages: Sequence[Passage], view: View, meter: Meter
    ) -> float | None:
        """Return the probability that passages hold the answer.

        None if no fitted gate judges passages, or not with the store's embedder.
        """
        bundle = self._gate.current() if self._gate else None
        if bundle is None or bundle.sufficiency is None or not is_fitted_for(bundle, view):
            return None
        with meter.stage("judge"):
            signals = Signals(evidence_signals(question, passages, base_encoder(view.embedder)))
            return float(bundle.sufficiency.probability([signals])[0])

    def _is_about_set(self, context: AnswerContext) -> bool:
        """Return whether a question names a set of the store, and no budget decides."""
        named = context.asks_about.is_named and context.mode is GateMode.AUTO
        return named and self._policy.target_rate is None and context.request.threshold is None

    def _decide_by_set(self, about: QuestionSet) -> GateDecision:
        """Retrieve: the question names a table of the store, or a family of its documents."""
        kind = "table" if about.tables else "documents"
        reason = f"The question is about the {kind} “{about.name}”, counted as a whole."
        return GateDecision(GateAction.RETRIEVE, GateMode.AUTO, reason)

    def _decide_by_signals(
        self,
        context: AnswerContext,
        answer: ClosedBook,
        bundle: GateBundle | None,
        least_doubt: LeastDoubt,
    ) -> GateDecision:
        """Measure the signals, decide, and explain the decision."""
        request, budget = context.request, self._rate_controller(bundle)
        threshold, origin = request.threshold, ""
        if threshold is None:
            threshold, origin = self._threshold(budget)
        # a budget and a caller's threshold are calibrated on scores without read passages
        by_own_threshold = budget is None and request.threshold is None
        reading = least_doubt if by_own_threshold else None
        verdict = self._judge(context, answer, bundle, threshold, reading)
        verdict = self._retrieve_if_unsure(verdict)
        if by_own_threshold:  # these apply in every language
            verdict = _decide_by_words(verdict, request.question, context.view)
            if not verdict.decision.retrieve or self._withholds(context):
                probability = p_internal(self._reading.internal, self._generator, context)
                verdict = retrieve_if_internal(verdict, probability)
        if budget is not None:
            budget.observe(retrieved=verdict.decision.retrieve)
        own = bundle.threshold if bundle else CONSTANTS.threshold
        return _explain_threshold(verdict, origin, own).result

    def _judge(
        self,
        context: AnswerContext,
        answer: ClosedBook,
        bundle: GateBundle | None,
        threshold: float | None,
        least_doubt: LeastDoubt | None,
    ) -> Verdict:
        """Measure the signals that the gate uses, and decide."""
        view = context.view
        if bundle is None:
            store = store_signals(context, least_doubt)
            prefill = prefill_signals(context, answer)
            decision = view.gate.decide(
                context.mode, prefill=prefill, store=store, threshold=threshold
            )
            return _with_passages(decision, store)
        if not is_fitted_for(bundle, view):
            decision = fitted.decide_unjudged(
                f"the store was migrated to the embedder {view.embedder.name}, and the gate was "
                f"fitted with {bundle.needs.embedder}",
                bundle.version,
            )
            return Verdict.of(decision)
        groups = bundle.groups
        reads_store, reads_prefill = SignalGroup.STORE in groups, SignalGroup.PREFILL in groups
        seen = store_signals(context, least_doubt) if reads_store else None
        prefill = prefill_signals(context, answer) if reads_prefill else None
        drafts = SignalGroup.DRAFT in groups
        draft = draft_signals(context, answer, self._generator) if drafts else None
        with context.meter.stage("gate"):
            domains, warnings = question_domains(bundle, context)
            signals = view.gate.signals(
                context.request.question,
                context.question_vectors,
                prefill=prefill,
                store=seen,
                draft=draft,
                domains=domains,
            )
            decision = fitted.decide(bundle, signals, threshold=threshold)
        decision = replace(decision, warnings=(*decision.warnings, *warnings))
        return _with_passages(decision, seen)

    def _withholds(self, context: AnswerContext) -> bool:
        """Return whether an answer to an internal question is withheld until it is judged.

        An explanation is not: it is long, and would come late.
        """
        explains = asks_to_explain(context.request.question)
        return self._reading.confidence is not None and not explains

    def _retrieve_if_unsure(self, verdict: Verdict) -> Verdict:
        """Retrieve for a question that may be about the documents, if the policy says so."""
        decision = verdict.decision
        benefit, threshold = decision.p_benefit, decision.threshold
        if self._policy.unsure != "strict" or decision.retrieve:
            return verdict
        if benefit is None or threshold is None or benefit < UNSURE * threshold:
            return verdict
        if _p_documents(decision) < CONSTANTS.unsure[0]:  # small talk, general knowledge
            return verdict
        return verdict.retrieve(
            f"The benefit {benefit:.2f} is below the threshold {threshold:.2f}, but the question "
            "may be about the documents, so it is answered strictly from them."
        )

    def _threshold(self, budget: RateController | None) -> tuple[float | None, str]:
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


def _p_documents(decision: GateDecision) -> float:
    """Return the probability that a question is about the documents; 1 if a gate does not say."""
    signals = decision.signals
    if "documents_log_odds" in signals:  # of a fitted gate
        return float(logistic(signals["documents_log_odds"]))
    return signals.get("p_documents", 1.0)


def _with_passages(decision: GateDecision, store: StoreSignals | None) -> Verdict:
    """Add the result of reading passages to a decision, if any were read."""
    verdict = Verdict.of(decision)
    if store is None or store.p_sufficient is None:
        return verdict
    return verdict.add_signal("p_sufficient", store.p_sufficient).explain(
        "The best passages were read because it was unclear whether the question is about the "
        f"documents: one holds the answer with probability {store.p_sufficient:.2f}."
    )


def _decide_by_words(verdict: Verdict, question: str, view: View) -> Verdict:
    """Decide by words alone if the embedder does not support the question's language."""
    if is_english(question) is not False or not is_english_only(view.embedder.name):
        return verdict
    note = f"The question is not English, and the embedder {view.embedder.name} is English-only"
    coverage = verdict.decision.signals.get("term_coverage", 0.0)
    if verdict.decision.retrieve or coverage < FOUND:
        return verdict.explain(f"{note}.")
    return verdict.retrieve(
        f"{note}: the documents hold its words ({coverage:.2f}), so passages are retrieved."
    )


def _explain_threshold(verdict: Verdict, origin: str, own: float) -> Verdict:
    """Add where the threshold comes from, if the policy set it.

    :param own: threshold of the gate itself.
    """
    benefit, threshold = verdict.decision.p_benefit, verdict.decision.threshold
    if not origin or benefit is None or threshold is None:
        return verdict
    if (benefit >= threshold) != (benefit >= own):
        origin += f"; by its own, {own:.2f}, the gate would have decided otherwise"
    return verdict.explain(f"{origin}.")


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
