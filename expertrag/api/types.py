"""Value objects of the public API. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from expertrag.api.contrast import Contrast
from expertrag.api.logprobs import TokenLogprob
from expertrag.api.rerank import RerankMode
from expertrag.api.tables import AnswerTable, Coverage
from expertrag.api.turns import Turn
from expertrag_retriever.types import (
    GateAction,
    GateDecision,
    GateMode,
    Passage,
    QuestionScope,
    Scalar,
    SearchMode,
)

__all__ = [
    "Answer",
    "AnswerRequest",
    "AnswerTable",
    "Citation",
    "Constraint",
    "Coverage",
    "DecideRequest",
    "DocumentInput",
    "Feedback",
    "FinishReason",
    "GateAction",
    "GateDecision",
    "GateMode",
    "ItemStatus",
    "Passage",
    "QuestionScope",
    "RetrieveRequest",
    "RetrieveResult",
    "Sampling",
    "Scalar",
    "SearchMode",
    "UpdateReport",
    "Usage",
]


GATE_STAGES = ("rewrite", "route", "embed", "gate", "check", "prefill", "draft")
"""Stages that run before the gate decides."""
STAGES = (*GATE_STAGES, "search", "rerank", "judge", "generate", "verify", "ground")
"""Keys of ``Usage.stage_seconds``, in execution order; an answer has some of them."""


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    ABSTAINED = "abstained"
    """In STRICT; in any mode, if the model or its probe finds no answer in the passages."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """Constrains the whole text of an answer; exactly one field is set.

    ``regex`` must match the whole text; it uses Rust syntax, which has no look-around, and its
    digits are 0 to 9. ``json_schema`` is a JSON Schema, ``choices`` are the allowed texts,
    ``grammar`` is in Lark syntax and starts with the rule ``start``. An abstention is not
    constrained.
    """

    regex: str | None = None
    json_schema: Mapping[str, object] | None = None
    choices: tuple[str, ...] | None = None
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are sampled. Temperature 0 is greedy; the same seed gives the same answer.

    ``top_p``, 0 to 1: sample from the fewest most likely tokens whose probabilities, after
    temperature, penalty and constraint, sum to it; 1 for all tokens (nucleus sampling, Holtzman et
    al. 2020). It changes nothing at temperature 0.

    ``frequency_penalty``, 0 to 2, is subtracted from a token's logit for each occurrence of the
    token in the answer so far (OpenAI's definition). The prompt does not count, so that passages
    can be quoted. None leaves it to the back end. That is 0.7 for a local model, because small
    models loop without it, and 0 for a reader's answer from passages, which copies. It is the
    endpoint's own default for an OpenAI-compatible endpoint.

    ``logprobs``, 0 to 20, adds the log probability of each token and of that many most likely
    tokens at its position. They are taken before penalty, temperature and constraint.

    ``routing``: how many experts a token uses: "model" for as many as the model does, "top_k:K",
    "top_p:P" or "threshold:T", "null:N" for N of its null experts, or several of these separated by
    commas. Empty for the server's own.

    ``contrast``: contrastive decoding, if any.

    ``adapter`` names the adapter (LoRA) of the language model that answers; empty for none.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    constraint: Constraint | None = None
    logprobs: int | None = None
    routing: str = ""
    contrast: Contrast | None = None
    adapter: str = ""
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question and how to answer it.

    ``mode`` None means the default: of the caller's token, else of the collection, else of the
    server (``gate.mode``), else AUTO. ``threshold`` None means the gate's own. ``steps`` is the
    number of searches. Each after the first adds a draft answer from the passages found so far to
    the query, and costs a search and a short answer.

    ``history``: the conversation so far, oldest turn first. A question that does not stand alone is
    rewritten by it before the documents are searched.

    ``instructions`` are added to the system prompt of the answer; the search does not see them.

    ``scope`` says what the question asks of the documents; None to recognise it. ``as_of``: answer
    from the versions that were in force on this day (ISO 8601); "" for today.
    """

    question: str
    mode: GateMode | None = None
    k: int = 5
    filter: Mapping[str, object] = field(default_factory=dict)
    domain: str | None = None
    threshold: float | None = None
    sampling: Sampling = Sampling()
    steps: int = 1
    history: tuple[Turn, ...] = ()
    rerank: RerankMode = RerankMode.AUTO
    instructions: str = ""
    scope: QuestionScope | None = None
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class DecideRequest:
    """A question for the gate alone; fields as in ``AnswerRequest``."""

    question: str
    mode: GateMode | None = None
    threshold: float | None = None
    domain: str | None = None
    history: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """A search without an answer; ``history`` as in ``AnswerRequest``."""

    query: str
    k: int = 5
    filter: Mapping[str, object] = field(default_factory=dict)
    mode: SearchMode = SearchMode.HYBRID
    history: tuple[Turn, ...] = ()
    rerank: RerankMode = RerankMode.AUTO


@dataclass(frozen=True, slots=True)
class RetrieveResult:
    """Passages in rank order, the generation they come from, and the cost.

    ``rewritten_query``: the query that was searched for, if it was read as another one; else "".
    ``reranked`` counts the candidates that were reranked; with 0, the search alone gave the order.
    ``rerank_skipped`` says why they were not, although the request asked for it: too little time.
    """

    passages: tuple[Passage, ...]
    generation: int
    vectors_scanned: int
    seconds: float
    rewritten_query: str = ""
    reranked: int = 0
    rerank_skipped: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A sentence of the answer and the span of a passage that supports it.

    If a reader cites its passages itself, the citation covers the whole answer, with the best span
    of each passage. ``answer_start``/``answer_end`` are character offsets into the answer.
    ``passage`` is the 1-based rank of the passage. ``start``/``end`` are character offsets into the
    document. ``score`` in [0, 1] is the share of the sentence that the span supports. ``page`` is
    the page on which the span begins, from 1, or None in a document without pages.
    """

    answer_start: int
    answer_end: int
    passage: int
    document_id: str
    start: int
    end: int
    score: float
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """The cost of an answer. ``lm_calls`` counts prefills; seconds are given by stage.

    ``cached_prompt_tokens``: prompt tokens that were reused from an earlier prompt with the same
    prefix (prefix caching); 0 if the language model does not report them. ``turns_dropped``: turns
    of the conversation, from the oldest on, that were not in the prompt because they did not fit.
    ``reranked``: candidates that were reranked, of all searches; ``rerank_skipped``: searches whose
    candidates were not, for want of time.

    For a language model whose experts are not all in memory (``lab.weights_mib``), four counts over
    the steps that computed the answer. These steps may have computed other answers as well.
    ``expert_hits`` and ``expert_misses`` are experts that were in memory when a layer needed them,
    and experts that were not. ``expert_bytes_read`` are bytes of the model's file,
    ``expert_stalled_ms`` milliseconds of waiting for experts.
    """

    lm_calls: int = 0
    retrieval_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    vectors_scanned: int = 0
    passages_dropped: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    cached_prompt_tokens: int = 0
    turns_dropped: int = 0
    reranked: int = 0
    rerank_skipped: int = 0
    expert_hits: int = 0
    expert_misses: int = 0
    expert_bytes_read: int = 0
    expert_stalled_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the folded events; fields as in ``DoneEvent``.

    ``table`` and ``coverage``: of an answer about a set of documents, as in ``TableEvent``; else
    None.
    """

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
    table: AnswerTable | None = None
    coverage: Coverage | None = None

    @property
    def complete(self) -> bool | None:
        """Whether the answer is from all documents that match; None if unknown."""
        return self.coverage.complete if self.coverage else None

    @property
    def query(self) -> str:
        """How the rows of ``table`` were selected; "" without a table."""
        return self.table.query if self.table else ""

    @property
    def id(self) -> str:
        """Id of the answer for ``feedback``, 32 hex digits; the same as in the decision."""
        return self.decision.id

    @property
    def abstained(self) -> bool:
        """Whether the system chose not to answer; ``text`` then says why."""
        return self.finish_reason is FinishReason.ABSTAINED


@dataclass(frozen=True, slots=True)
class Feedback:
    """A user's feedback on an answer: whether it helped, the correct answer, or both.

    ``query`` is the question, stored with the feedback because a log without texts lacks it.
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

    ``labels``: access labels. A caller with restricted access sees the document if it has one of
    them; without labels, every caller that may read the collection sees it.
    """

    id: str
    text: str
    title: str = ""
    domain: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """The result for one document of an upsert; ``error`` is empty if it was stored."""

    id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an upsert or a delete changed; ``generation`` is the one now served.

    A server leaves out items that do not fit into its message, failed ones last:
    ``items_omitted`` counts them.
    """

    generation: int
    added: int
    changed: int
    unchanged: int
    removed: int
    items: tuple[ItemStatus, ...] = ()
    items_omitted: int = 0
