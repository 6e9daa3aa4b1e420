"""Value objects of the public API. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, get_args

from expertrag_retriever.types import (
    GateAction,
    GateDecision,
    GateMode,
    Passage,
    Scalar,
    SearchMode,
)

__all__ = [
    "Answer",
    "AnswerEvent",
    "AnswerRequest",
    "Citation",
    "CitationEvent",
    "Constraint",
    "DecideRequest",
    "DeltaEvent",
    "DocumentInput",
    "DoneEvent",
    "EmbedRequest",
    "Feedback",
    "FinishReason",
    "GateAction",
    "GateDecision",
    "GateEvent",
    "GateMode",
    "IndexStats",
    "ItemStatus",
    "Passage",
    "PassagesEvent",
    "RetrieveRequest",
    "RetrieveResult",
    "Sampling",
    "Scalar",
    "SearchMode",
    "ServerInfo",
    "TokenLogprob",
    "TopLogprob",
    "UpdateReport",
    "Usage",
    "UsageEvent",
]


Role = Literal["document", "query"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What texts are encoded as."""

GATE_STAGES = ("route", "embed", "gate", "check", "prefill", "draft")
"""Stages that are over when the gate has decided."""
STAGES = (*GATE_STAGES, "search", "judge", "generate", "ground")
"""Names of ``Usage.stage_seconds``, in the order of the work; an answer has some of them."""


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    ABSTAINED = "abstained"
    """In STRICT, or because a reader finds no answer in the passages, in any mode."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the whole text of an answer has to be; exactly one field is set.

    ``regex`` matches all of the text, in Rust's syntax, which has no look-around; digits are 0 to
    9. ``json_schema`` is a JSON Schema, ``choices`` are the texts to choose from, ``grammar`` is in
    Lark's syntax and begins with the rule ``start``. An abstention is no answer and obeys none.
    """

    regex: str | None = None
    json_schema: Mapping[str, object] | None = None
    choices: tuple[str, ...] | None = None
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy; the same seed gives the same answer.

    ``frequency_penalty``, 0 to 2, is taken off a token's logit for each time that the answer holds
    the token already (OpenAI's definition); the prompt does not count, so that passages can be
    quoted. None leaves it to the back end: 0.7 for a model run here, since small models loop
    without it, 0 for a reader's answer from passages, which copies, and the server's own for an
    OpenAI-compatible endpoint.

    ``logprobs``, 0 to 20, asks for the log probability of each token and of so many others at its
    place, as the model has them: before penalty, temperature and constraint.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    constraint: Constraint | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question and how to answer it.

    ``threshold`` None means the gate's own. ``both_ways`` allows AUTO to draw one answer from both
    prompts, with and without documents, where a fitted gate finds them about as likely to be right;
    it costs about as much as both answers. ``steps`` searches are made, each but the first with an
    answer from what was found before; each costs a search and a short answer.
    """

    question: str
    mode: GateMode = GateMode.AUTO
    k: int = 5
    filter: Mapping[str, object] = field(default_factory=dict)
    domain: str | None = None
    threshold: float | None = None
    sampling: Sampling = Sampling()
    both_ways: bool = False
    steps: int = 1


@dataclass(frozen=True, slots=True)
class DecideRequest:
    """A question for the gate alone; fields as in ``AnswerRequest``."""

    question: str
    mode: GateMode = GateMode.AUTO
    threshold: float | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to encode, by the expert of ``domain``; None leaves it to the router."""

    texts: Sequence[str]
    role: Role = "document"
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """A search without an answer."""

    query: str
    k: int = 5
    filter: Mapping[str, object] = field(default_factory=dict)
    mode: SearchMode = SearchMode.HYBRID


@dataclass(frozen=True, slots=True)
class RetrieveResult:
    """Passages in rank order, the generation that they come from, and the cost."""

    passages: tuple[Passage, ...]
    generation: int
    vectors_scanned: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of the answer and the stretch of a passage that supports it.

    Where a reader names its passages, it is the whole answer, and the best stretch of each.
    ``answer_start``/``answer_end`` are character offsets into the answer; ``passage`` is the
    1-based rank of the passage; ``start``/``end`` are character offsets into the document;
    ``score`` in [0, 1] is the share of the sentence that the stretch supports.
    """

    answer_start: int
    answer_end: int
    passage: int
    document_id: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class TopLogprob:
    """A token that could have stood at a place; the text that it would have added there."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer, its log probability, and the most probable ones at its place.

    ``text`` is what the token adds to the answer, so that the texts of all tokens join to it: empty
    where a token only begins a character, and cut where a stop string begins within a token.
    """

    text: str
    logprob: float
    top: tuple[TopLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost. ``lm_calls`` counts prefills; seconds are given by stage.

    ``cached_prompt_tokens``: of the prompts' tokens, those that were not computed, as an earlier
    prompt begins alike (prefix caching); 0 where the language model does not tell.
    """

    lm_calls: int = 0
    retrieval_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    vectors_scanned: int = 0
    passages_dropped: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    cached_prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class GateEvent:
    """The gate has decided; always first."""

    decision: GateDecision


@dataclass(frozen=True, slots=True)
class PassagesEvent:
    """The passages that the answer is written from; absent when closed book."""

    passages: tuple[Passage, ...]
    generation: int


@dataclass(frozen=True, slots=True)
class DeltaEvent:
    """The next piece of the answer's text, and the tokens that end in it where asked for."""

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
    """The end.

    ``support`` in [0, 1] is the share of the answer that the passages support, times
    ``p_sufficient`` where that is known; None where nothing
    was compared. ``p_sufficient`` is the probability that the passages hold the answer: in STRICT
    of a fitted gate that judges passages, else of a reader that has seen them; else None.

    ``from_documents``: whether it is an answer from documents, that is, passages were in the
    prompt; False closed book, where the text is the model's alone, and of an abstention, which is
    no answer. ``unsupported_reason`` says in one line why the passages do not support the first
    sentence that they do not, such as "'--force' is not in the passage"; of an abstention, why the
    answer was withheld. It is empty where all is supported, and where nothing was compared.
    """

    finish_reason: FinishReason
    support: float | None = None
    model: str = ""
    p_sufficient: float | None = None
    from_documents: bool = False
    unsupported_reason: str = ""


AnswerEvent = GateEvent | PassagesEvent | DeltaEvent | CitationEvent | UsageEvent | DoneEvent


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the stream of events, folded; fields as in ``DoneEvent``."""

    text: str
    decision: GateDecision
    passages: tuple[Passage, ...]
    citations: tuple[Citation, ...]
    usage: Usage
    finish_reason: FinishReason
    support: float | None
    generation: int | None
    model: str
    p_sufficient: float | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    from_documents: bool = False
    unsupported_reason: str = ""

    @property
    def id(self) -> str:
        """Name of the answer for ``feedback``, 32 hex digits; it stands in the decision."""
        return self.decision.id

    @property
    def abstained(self) -> bool:
        """Whether the system chose not to answer; ``text`` then says why."""
        return self.finish_reason is FinishReason.ABSTAINED


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person says of an answer: whether it helped, what is right, or both.

    ``query`` is the question, kept with the feedback; a log without texts does not know it.
    """

    answer_id: str
    helpful: bool | None = None
    correct_answer: str | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentInput:
    """A document to add or replace through the API.

    ``metadata`` holds strings, numbers, booleans, lists of them, and mappings, which are stored as
    fields with dotted names: ``{"author": {"name": "Ada"}}`` as ``author.name``.
    """

    id: str
    text: str
    title: str = ""
    domain: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """What became of one document of an upsert: ``error`` is empty when it was stored."""

    id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an upsert or a delete changed; ``generation`` is the one that now answers."""

    generation: int
    added: int
    changed: int
    unchanged: int
    removed: int
    items: tuple[ItemStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexStats:
    """The state of a store.

    ``recall`` is recall@10 of the vector index against exact search. ``partitions`` are the chunks
    by the domain expert that encoded them, "general" the base model.
    """

    generation: int
    documents: int
    chunks: int
    embedder: str
    dimension: int
    domains: Mapping[str, int]
    metadata_fields: tuple[str, ...]
    size_bytes: int
    recall: float
    created_at: str
    degraded: str = ""
    partitions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What answers: versions, models, limits and the index."""

    version: str
    embedder: str
    model: str
    gate: str
    context_tokens: int
    max_query_bytes: int
    max_k: int
    index: IndexStats | None = None
