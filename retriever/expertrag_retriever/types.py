"""Value objects of retrieval: passages, search results, gate signals and decisions.

Importing this module loads only the standard library: the SDK uses it without numpy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag_index.types import FloatArray

Scalar = str | int | float | bool
MetadataValue = Scalar | Sequence[Scalar]


class SearchMode(StrEnum):
    """Which halves of the search to use."""

    HYBRID = "hybrid"
    DENSE = "dense"
    BM25 = "bm25"


class GateMode(StrEnum):
    """What the caller asks of the gate."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"
    STRICT = "strict"


class GateAction(StrEnum):
    """What the gate decided."""

    CLOSED_BOOK = "closed_book"
    RETRIEVE = "retrieve"


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieved chunk with its provenance.

    ``start`` and ``end`` are character offsets into the text of document ``document_id``. ``score``
    is the fused score that ranks passages (higher is better). ``dense_score`` is the cosine in [-1,
    1], for an embedding expert mapped onto the base model's scale. ``lexical_score`` is BM25
    divided by the best BM25 of the query, in [0, 1]. ``page`` is the page on which it begins, from
    1; None in a document without pages. ``page_starts``: where further pages begin in it (character
    offsets into the document). ``rerank_score`` ranks instead of ``score`` where a reranker has
    read the passage (higher is better); None where none has.
    """

    document_id: str
    ordinal: int
    text: str
    start: int
    end: int
    score: float
    dense_score: float = 0.0
    lexical_score: float = 0.0
    title: str = ""
    domain: str | None = None
    source: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    page: int | None = None
    page_starts: tuple[int, ...] = ()
    rerank_score: float | None = None

    def page_at(self, offset: int) -> int | None:
        """Return the page of a character of it, given by its offset into the document."""
        return None if self.page is None else self.page + bisect_right(self.page_starts, offset)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Ranked passages of one query and what the search cost."""

    passages: tuple[Passage, ...]
    vectors_scanned: int
    generation: int
    lexical_weight: float


@dataclass(frozen=True, slots=True)
class PrefillSignals:
    """Signals of the closed-book prefill, averaged over the first tokens of the answer.

    ``margin``: p(top-1) - p(top-2) in [0, 1]. ``entropy``: of the next-token distribution, in
    nats. ``max_probability``: p(top-1) in [0, 1]. ``router_entropy``: of the expert distribution,
    averaged over layers, in nats; None for a model without a router. ``vectors``: further signals
    of the prefill by name, each of shape [D] with its own D; names begin with router_ or hidden_.
    """

    margin: float
    entropy: float
    max_probability: float
    tokens: int
    router_entropy: float | None = None
    vectors: Mapping[str, FloatArray] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class StoreSignals:
    """Signals of the store for one query.

    ``similarity``: cosine between the query and the nearest chunk of all partitions, in [-1, 1];
    -1 if there is none.
    ``coverage``: share in [0, 1] of the store's own pseudo-queries that are further from their
    nearest chunk than this query. Near 0 means that the store is about something else.
    ``term_coverage``: share in [0, 1] of the query's inverse document frequency mass that occurs
    in the store. ``background_similarity``: best cosine with requests that need no documents
    (small talk, arithmetic, general facts), in [-1, 1]; -1 if the store does not have them.
    ``p_sufficient``: probability that one of the best passages holds the answer, in [0, 1], judged
    by a language model that has read them. None if none has.
    """

    similarity: float
    coverage: float
    term_coverage: float
    background_similarity: float = -1.0
    p_sufficient: float | None = None


SIGNAL_GROUPS: Mapping[str, str] = {
    "question": "the question's wording",
    "domain": "the domain of the question",
    "store": "what the store covers",
    "prefill": "the model's confidence",
    "draft": "the model's own draft",
}
"""Groups of a gate's signals in words, by the keys of ``GateDecision.contributions``."""


class QuestionScope(StrEnum):
    """How many documents the answer to a question needs, and what is done with them."""

    LOOKUP = "lookup"
    """A fact, from the best passages."""
    LIST = "list"
    """All documents or rows that match."""
    COUNT = "count"
    """How many match."""
    AGGREGATE = "aggregate"
    """A sum, an average, the largest or the smallest of a value."""
    EXISTS = "exists"
    """Whether any, or every one, matches."""
    COMPARE = "compare"
    """Two things, by what the documents say of each."""
    LATEST = "latest"
    """The version in force."""
    TWO_HOPS = "two_hops"
    """A fact about something that another document names."""
    DOCUMENT = "document"
    """A whole document: its summary, or its main points."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The gate's choice for one query, with everything needed to explain it.

    Probabilities are in [0, 1]. ``p_benefit`` is the probability that retrieval improves the
    answer; RETRIEVE when ``p_benefit >= threshold``. In a forced mode both are None unless they
    were estimated. ``signals`` holds the raw values by name; ``reason`` is one or two sentences.

    Only a fitted gate sets ``p_correct_retrieval`` and ``contributions``, to the log odds of the
    benefit, in nats by group of signals. ``warnings`` report what could not be measured or judged.

    ``domains``: the router's probability of each domain for the question, with "general" for none;
    empty without a router. ``expert``: name of the language-model expert that answers from the
    documents; None if there is none. ``pattern``: domain whose expert pattern answers, closed book
    or not; None if all experts of the language model do.

    ``rewritten_question``: the question that was decided on, if the conversation changed it so that
    it stands alone; else "".

    ``scope``: what the question asks of the documents; None for a gate that was asked alone.

    ``id`` is the id of the answer: 32 hex digits, "" until the pipeline assigns one. It identifies
    a call, not a decision, so it does not count in ``==``.
    """

    action: GateAction
    mode: GateMode
    reason: str
    threshold: float | None = None
    p_benefit: float | None = None
    p_correct_closed_book: float | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    calibrator: str = ""
    p_correct_retrieval: float | None = None
    contributions: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    domains: Mapping[str, float] = field(default_factory=dict)
    expert: str | None = None
    pattern: str | None = None
    rewritten_question: str = ""
    scope: QuestionScope | None = None
    id: str = field(default="", compare=False)

    @property
    def retrieve(self) -> bool:
        """Whether the gate decided to retrieve."""
        return self.action is GateAction.RETRIEVE
