"""The words of a query that BM25 searches: without stop words, and not too many of them."""

from __future__ import annotations

from collections.abc import Sequence

from expertrag_index.types import TermStatistics
from expertrag_index.words.analysis import split_unspaced
from expertrag_index.words.language import FUNCTION_WORDS, language_of
from expertrag_index.words.patterns import TERM
from expertrag_index.words.stems import LANGUAGES

MAX_TERMS = 64
"""Most terms of a query to search, the rarest first; a longer query is a document."""

CANDIDATE_TERMS = 1024
"""Distinct words looked up before choosing: 1 MB of text has 100,000."""

_WORDS = """
a about above after again against all am an and any are as at be because been before being below
between both but by can could did do does doing down during each few for from further had has have
having he her here hers herself him himself his how i if in into is it its itself just me more
most my myself no nor not now of off on once only or other our ours ourselves out over own s same
she should so some such t than that the their theirs them themselves then there these they this
those through to too under until up very was we were what when where which while who whom why will
with would you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_WORDS.split())


def query_terms(query: str) -> list[str]:
    """Distinct words of a query in order, without stop words unless there are only stop words.

    Stop words are the English ones, and the function words of the query's language if it has
    stems. A list of several languages holds too many words: "jak" is one in Polish.
    """
    parts = (part for word in TERM.findall(query) for part in split_unspaced(word.lower()))
    words = list(dict.fromkeys(parts))
    language = language_of(query)
    left_out = STOP_WORDS | FUNCTION_WORDS[language] if language in LANGUAGES else STOP_WORDS
    return [word for word in words if word not in left_out] or words


def rarest(statistics: Sequence[TermStatistics]) -> list[TermStatistics]:
    """Return the words to search: those that occur, the rarest first."""
    present = [item for item in statistics if item.document_frequency]
    return sorted(present, key=lambda item: -item.idf)[:MAX_TERMS]
