"""What an audit log says. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from expertrag_retriever.types import GateAction

__all__ = [
    "Changes",
    "CountExpertsRequest",
    "ExpertCount",
    "ExpertCounts",
    "ListQuestionsRequest",
    "LoggedQuestion",
    "LoggedQuestions",
    "Replay",
    "ReplayOutcome",
    "ReplayRequest",
]

BASIS = "costs are estimated from the log's own mean costs, closed book and with retrieval"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Another policy for the decisions of a log; one field is set, in [0, 1]."""

    threshold: float | None = None
    target_rate: float | None = None


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """Decisions, and the cost of the ``answers`` that finished.

    The cost is None if it is unknown: the log has no finished answer with a required action.
    """

    decisions: int
    retrievals: int
    rate: float
    answers: int
    lm_calls: float | None
    retrieval_calls: float | None
    seconds: float | None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """Decisions that change, and the feedback on their answers."""

    total: int
    to_retrieve: int
    to_closed_book: int
    helpful: int
    not_helpful: int


@dataclass(frozen=True, slots=True)
class Replay:
    """A policy compared with the log.

    ``threshold`` is the policy's, None for a forced one. ``forced``, ``unjudged`` (AUTO, but the
    gate could not judge) and ``torn`` count excluded lines of the log. ``rated`` counts the
    replayed answers with user ratings. ``gates`` names the gates that gave the probabilities.
    ``histogram`` counts the decisions by p_benefit, in 20 equal steps from 0 to 1.
    """

    policy: str
    threshold: float | None
    gates: tuple[str, ...]
    logged: ReplayOutcome
    replayed: ReplayOutcome
    changed: Changes
    rated: int
    forced: int
    unjudged: int
    torn: int
    basis: str = BASIS
    histogram: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ListQuestionsRequest:
    """How many questions to list, 1 to 1,000."""

    limit: int = 50


@dataclass(frozen=True, slots=True)
class LoggedQuestion:
    """A question of a log; ``id`` and ``time`` are of its latest decision."""

    id: str
    question: str
    time: str
    p_benefit: float
    threshold: float
    action: GateAction


@dataclass(frozen=True, slots=True)
class LoggedQuestions:
    """Questions of a log to label, in random order, without those that have a correct answer.

    ``total`` counts them all; ``corrected`` counts the questions that have one, from feedback.
    """

    questions: tuple[LoggedQuestion, ...]
    total: int
    corrected: int


@dataclass(frozen=True, slots=True)
class CountExpertsRequest:
    """Into how many periods the time of a log is divided at most, 1 to 200."""

    periods: int = 24


@dataclass(frozen=True, slots=True)
class ExpertCount:
    """Decisions of one period, domain and expert, and how many of them retrieved.

    ``start`` is the beginning of the period, ISO 8601 in UTC. ``domain`` is the likeliest of the
    question, whose embedding expert has encoded it; "general" for none, empty without a router.
    ``expert`` is the language-model expert that answers from the documents, empty without one.
    """

    start: str
    domain: str
    expert: str
    decisions: int
    retrievals: int


@dataclass(frozen=True, slots=True)
class ExpertCounts:
    """Counts by time, domain and expert; ``period_s``: length of a period, in seconds."""

    period_s: int
    counts: tuple[ExpertCount, ...]
