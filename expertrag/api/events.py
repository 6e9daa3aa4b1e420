"""Events of an answer, in their order. Importing this loads only the standard library."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.api.logprobs import TokenLogprob
from expertrag.api.tables import AnswerTable, Coverage
from expertrag.api.types import Citation, FinishReason, GateDecision, Passage, Usage


@dataclass(frozen=True, slots=True)
class GateEvent:
    """The gate has decided; always first."""

    decision: GateDecision


@dataclass(frozen=True, slots=True)
class PassagesEvent:
    """The passages that the answer is generated from; absent when closed book."""

    passages: tuple[Passage, ...]
    generation: int


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far the documents of an answer are read; absent if they are not read one by one."""

    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class TableEvent:
    """The rows of an answer about a set of documents; before its text."""

    table: AnswerTable
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class DeltaEvent:
    """The next piece of the answer's text and, if requested, the tokens that end in it."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class CitationEvent:
    """One supported sentence of the answer."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """The cost; after the last citation."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The end of an answer.

    ``support`` in [0, 1] is the probability that the answer is right, if it was fitted for the
    model. Otherwise it is the share of the answer that the passages support, times
    ``p_sufficient`` if that is known. It is None if nothing was compared.

    ``p_sufficient`` is the probability that the passages hold the answer. It comes in STRICT from a
    fitted gate that judges passages, otherwise from a reader or probe that has read them; else
    None.

    ``from_documents``: whether passages were in the prompt; False for a closed-book answer, whose
    text is the model's alone, and for an abstention. ``unsupported_reason`` says in one line why to
    check the answer, such as "'--force' is not in the passage", or why it was withheld. It is empty
    if there is nothing to check, or nothing was compared.
    """

    finish_reason: FinishReason
    support: float | None = None
    model: str = ""
    p_sufficient: float | None = None
    from_documents: bool = False
    unsupported_reason: str = ""


AnswerEvent = (
    GateEvent
    | ProgressEvent
    | PassagesEvent
    | TableEvent
    | DeltaEvent
    | CitationEvent
    | UsageEvent
    | DoneEvent
)
