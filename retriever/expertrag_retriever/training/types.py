"""Value objects of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Progress = Callable[[str, int, int | None], None]
"""Called with a stage, what is done of it, and how much there is."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the id of a document that answers it."""

    query: str
    document: str


@dataclass(frozen=True, slots=True)
class Source:
    """One data set: pairs over a corpus of its own.

    ``corpus``: text by document id. ``pairs``: a query may come with several documents.
    """

    name: str
    corpus: Mapping[str, str]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """What a step learns from: the query is to be nearer to ``positive`` than to ``negatives``.

    ``shunned``: ids of documents that must not be taken for negatives of this query.
    """

    query: str
    positive_id: str
    positive: str
    negatives: tuple[str, ...] = ()
    shunned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DevSet:
    """Queries kept from training, with a pool of documents small enough to be encoded often.

    ``relevant`` holds, for each query, the positions in ``documents`` of its documents.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    relevant: tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class DomainData:
    """Everything that one expert is trained on. ``dropped`` counts pairs of no use, by reason."""

    domain: str
    sources: tuple[Source, ...]
    dev: tuple[DevSet, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """How many pairs are trained on."""
        return sum(len(source.pairs) for source in self.sources)

    @property
    def texts(self) -> Sequence[str]:
        """Queries and documents that are trained on."""
        return [
            text
            for source in self.sources
            for pair in source.pairs
            for text in (pair.query, source.corpus[pair.document])
        ]
