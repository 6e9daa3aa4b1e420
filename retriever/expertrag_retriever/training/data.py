"""From data sets to what an expert trains on: pairs of no use dropped, a dev slice kept apart."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from expertrag_retriever.errors import TrainingError
from expertrag_retriever.training.types import DevSet, DomainData, Pair, Source

FEWEST_PAIRS = 32
"""Of a domain; an expert trained on fewer would know these by heart and nothing else."""

_DEV_SHARE = 0.15
_MOST_DEV_QUERIES = 100
DEV_POOL = 600
"""Documents of a dev set, the relevant ones among them."""

_FEWEST_CHARACTERS = 3


def prepare(
    domain: str, sources: Sequence[Source], *, most_pairs: int | None = None, seed: int = 0
) -> DomainData:
    """Clean the pairs of a domain and split its queries into training and dev.

    Dropped, and counted by reason: repeated pairs, empty or too short texts, documents that the
    corpus lacks, and queries that are their own document, which teach nothing.

    :param most_pairs: train on so many pairs at most, drawn evenly from the sources.
    :raises TrainingError: fewer than ``FEWEST_PAIRS`` pairs are left.
    """
    dropped: Counter[str] = Counter()
    kept, dev = [], []
    for source in sources:
        pairs = _clean(source, dropped)
        training, held_out = _split(pairs, seed)
        if most_pairs is not None:
            share = max(1, most_pairs // len(sources))
            training = random.Random(seed).sample(training, min(share, len(training)))
        kept.append(Source(source.name, source.corpus, tuple(training)))
        if held_out:
            dev.append(_dev_set(source, held_out, seed))
    data = DomainData(domain, tuple(kept), tuple(dev), dict(dropped))
    if data.pairs < FEWEST_PAIRS:
        lost = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        raise TrainingError(
            f"domain {domain} has {data.pairs} usable pairs of a query and a document"
            f"{f' ({lost})' if lost else ''}; an expert needs {FEWEST_PAIRS}: add data, or leave "
            "the domain to the general expert"
        )
    return data


def _clean(source: Source, dropped: Counter[str]) -> list[Pair]:
    kept: dict[tuple[str, str], Pair] = {}
    for pair in source.pairs:
        reason = _fault(pair, source)
        key = (_same(pair.query), pair.document)
        if not reason and key in kept:
            reason = "repeated"
        if reason:
            dropped[reason] += 1
        else:
            kept[key] = pair
    return list(kept.values())


def _fault(pair: Pair, source: Source) -> str:
    document = source.corpus.get(pair.document)
    if document is None:
        return "without their document"
    if min(len(pair.query.strip()), len(document.strip())) < _FEWEST_CHARACTERS:
        return "empty or too short"
    if _same(pair.query) == _same(document):
        return "whose query is its own document"
    return ""


def _same(text: str) -> str:
    return " ".join(text.lower().split())


def _split(pairs: Sequence[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Hold out some queries with all their pairs."""
    queries = sorted({_same(pair.query) for pair in pairs})
    count = min(_MOST_DEV_QUERIES, int(_DEV_SHARE * len(queries)))
    held_out = set(random.Random(seed).sample(queries, count))
    return (
        [pair for pair in pairs if _same(pair.query) not in held_out],
        [pair for pair in pairs if _same(pair.query) in held_out],
    )


def _dev_set(source: Source, pairs: Sequence[Pair], seed: int) -> DevSet:
    relevant: dict[str, set[str]] = {}
    for pair in pairs:
        relevant.setdefault(pair.query, set()).add(pair.document)
    ids = set().union(*relevant.values())
    others = sorted(source.corpus.keys() - ids)
    ids |= set(random.Random(seed).sample(others, min(len(others), max(0, DEV_POOL - len(ids)))))
    order = sorted(ids)
    position = {identifier: place for place, identifier in enumerate(order)}
    return DevSet(
        queries=tuple(relevant),
        documents=tuple(source.corpus[identifier] for identifier in order),
        relevant=tuple(frozenset(position[i] for i in some) for some in relevant.values()),
    )
