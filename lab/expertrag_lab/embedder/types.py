"""Value objects of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace


def normalize(text: str) -> str:
    """Lower-case a text and collapse its whitespace, for comparing texts."""
    return " ".join(text.lower().split())


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the id of a document that answers it."""

    query: str
    document: str


def answers(pairs: Iterable[Pair]) -> dict[str, frozenset[str]]:
    """Collect the documents of each query."""
    by_query: dict[str, set[str]] = {}
    for pair in pairs:
        by_query.setdefault(pair.query, set()).add(pair.document)
    return {query: frozenset(documents) for query, documents in by_query.items()}


@dataclass(frozen=True, slots=True)
class Source:
    """One data set: pairs over a corpus of its own.

    ``corpus``: text by document id. ``pairs``: a query may occur with several documents.
    ``judged``: all documents that answer a query, if more are known than ``pairs`` holds.
    ``tested``: queries of other splits, which must not be trained on.
    ``collection``: namespace of the document ids, if sources share them; ``name`` if empty.
    """

    name: str
    corpus: Mapping[str, str]
    pairs: tuple[Pair, ...]
    judged: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tested: frozenset[str] = frozenset()
    collection: str = ""

    def answers(self) -> Mapping[str, frozenset[str]]:
        """Ids of the documents that answer each query."""
        return self.judged or answers(self.pairs)

    def identity(self, document: str) -> str:
        """Return an id of a document that is unique across all sources."""
        return f"{self.collection or self.name}/{document}"


@dataclass(frozen=True, slots=True)
class Example:
    """A training example: the query should be nearer to ``positive`` than to ``negatives``.

    ``negatives``: id and text of each. ``known_positives``: ids of all documents that are known to
    answer the query and must not be used as negatives.
    """

    query: str
    positive_id: str
    positive: str
    negatives: tuple[tuple[str, str], ...] = ()
    known_positives: frozenset[str] = frozenset()

    def with_prompts(self, query: str, document: str) -> Example:
        """Put a model's prompts before the texts."""
        return replace(
            self,
            query=query + self.query,
            positive=document + self.positive,
            negatives=tuple((name, document + text) for name, text in self.negatives),
        )


@dataclass(frozen=True, slots=True)
class DevSet:
    """Held-out queries, with a pool of documents small enough to be encoded often.

    ``relevant`` holds, for each query, the positions of its documents in ``documents``.
    """

    name: str
    queries: tuple[str, ...]
    documents: tuple[str, ...]
    relevant: tuple[frozenset[int], ...]

    def with_prompts(self, query: str, document: str) -> DevSet:
        """Put a model's prompts before the texts."""
        return replace(
            self,
            queries=tuple(query + text for text in self.queries),
            documents=tuple(document + text for text in self.documents),
        )


@dataclass(frozen=True, slots=True)
class DomainData:
    """Everything that one expert is trained on.

    ``held_out``: the same sources, in the same order, with the pairs of the held-out queries, for
    the dev slice. ``dropped``: number of unusable pairs by reason.
    """

    domain: str
    sources: tuple[Source, ...]
    held_out: tuple[Source, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """The number of pairs to train on."""
        return sum(len(source.pairs) for source in self.sources)

    @property
    def texts(self) -> Sequence[str]:
        """Queries and documents to train on."""
        return [
            text
            for source in self.sources
            for pair in source.pairs
            for text in (pair.query, source.corpus[pair.document])
        ]
