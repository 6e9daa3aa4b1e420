"""From data sets to what an expert trains on: pairs of no use dropped, a dev slice kept apart."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.training.types import DomainData, Pair, Source, answers

FEWEST_PAIRS = 32
"""Of a domain; an expert trained on fewer would know these by heart and nothing else."""

_DEV_SHARE = 0.15
_MOST_DEV_QUERIES = 100
_FEWEST_CHARACTERS = 3


def prepare(
    domain: str, sources: Sequence[Source], *, most_pairs: int | None = None, seed: int = 0
) -> DomainData:
    """Clean the pairs of a domain and split its queries into training and dev.

    Dropped, and counted by reason: repeated pairs, empty or too short texts, documents that the
    corpus lacks, and queries that are their own document, which teach nothing.

    :param most_pairs: train on so many pairs at most, drawn evenly from the sources.
    :raises TrainingError: fewer than ``FEWEST_PAIRS`` pairs are left, or a name that is taken.
    """
    if domain == GENERAL:
        raise TrainingError(f"a domain cannot be called {GENERAL!r}: that is the base model")
    dropped: Counter[str] = Counter()
    clean = [_clean(source, dropped) for source in sources]
    split = [_split(pairs, seed) for pairs in clean]
    shares = _shares([len(training) for training, _ in split], most_pairs)
    data = DomainData(
        domain,
        tuple(
            Source(source.name, source.corpus, tuple(_draw(training, share, seed)), answers(pairs))
            for source, pairs, (training, _), share in zip(
                sources, clean, split, shares, strict=True
            )
        ),
        tuple(
            Source(source.name, source.corpus, tuple(held_out))
            for source, (_, held_out) in zip(sources, split, strict=True)
        ),
        dict(dropped),
    )
    if data.pairs < FEWEST_PAIRS or not any(source.pairs for source in data.held_out):
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


def _shares(counts: Sequence[int], most: int | None) -> list[int]:
    """Deal ``most`` pairs evenly; what a small source cannot take goes to the others."""
    if most is None:
        return list(counts)
    shares = [0] * len(counts)
    for left, place in enumerate(sorted(range(len(counts)), key=counts.__getitem__)):
        shares[place] = min(counts[place], max(1, (most - sum(shares)) // (len(counts) - left)))
    return shares


def _draw(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """Draw pairs: one of every query before a second of any."""
    rng = random.Random(seed)
    shuffled = rng.sample(list(pairs), len(pairs))
    seen: Counter[str] = Counter()
    turns = []
    for pair in shuffled:
        turns.append((seen[pair.query], pair))
        seen[pair.query] += 1
    turns.sort(key=lambda turn: turn[0])
    return [pair for _, pair in turns[:count]]
