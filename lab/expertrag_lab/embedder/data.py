"""Prepares data sets for training an expert: drops useless pairs and holds out a dev slice."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from expertrag_lab.embedder.types import DomainData, Pair, Source, answers, normalize
from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.settings import GENERAL

FEWEST_PAIRS = 32
"""Fewest pairs of a domain; an expert trained on fewer would only memorise them."""

FEWEST_QUERIES = 8
"""Fewest distinct queries of a domain; some of them are held out."""

_DEV_SHARE = 0.15
_MOST_DEV_QUERIES = 100
_FEWEST_CHARACTERS = 3
_NAME = re.compile(r"\w[\w .-]*")


def prepare(
    domain: str, sources: Sequence[Source], *, most_pairs: int | None = None, seed: int = 0
) -> DomainData:
    """Clean the pairs of a domain and split its queries into train and dev.

    Drops, and counts by reason, repeated pairs, empty or too short texts, and documents missing
    from the corpus. Also drops queries identical to their document, which teach nothing, and
    queries that also occur in another split. A held-out query is held out in all sources.

    :param most_pairs: most pairs to train on, drawn evenly from the sources.
    :raises TrainingError: fewer than ``FEWEST_PAIRS`` pairs or ``FEWEST_QUERIES`` queries are left,
        or the domain's name is not allowed.
    """
    _check_name(domain)
    dropped: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    clean = [_clean(source, spelled, dropped) for source in sources]
    dev = [_draw_for_dev(pairs, seed) for pairs in clean]
    known = [_collect_judged(source, pairs) for source, pairs in zip(sources, clean, strict=True)]
    held_out = set().union(*dev)
    rest = [[pair for pair in pairs if pair.query not in held_out] for pairs in clean]
    shares = _shares(list(map(len, rest)), most_pairs)
    data = DomainData(
        domain,
        tuple(
            replace(source, pairs=tuple(_draw(training, share, seed)), judged=judged)
            for source, judged, training, share in zip(sources, known, rest, shares, strict=True)
        ),
        tuple(
            replace(
                source,
                pairs=tuple(pair for pair in pairs if pair.query in queries),
                judged={query: judged[query] for query in sorted(queries)},
            )
            for source, pairs, judged, queries in zip(sources, clean, known, dev, strict=True)
        ),
        dict(dropped),
    )
    usable = sum(map(len, clean))
    if usable < FEWEST_PAIRS or len(spelled) < FEWEST_QUERIES or not data.pairs or not any(dev):
        lost = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        raise TrainingError(
            f"domain {domain} has {usable} usable pairs of {len(spelled)} queries and their "
            f"documents{f' (dropped: {lost})' if lost else ''}; an expert needs {FEWEST_PAIRS} "
            f"pairs of {FEWEST_QUERIES} queries: add data, or leave the domain to the base model"
        )
    return data


def _check_name(domain: str) -> None:
    if domain == GENERAL:
        raise TrainingError(
            f"a domain cannot be called {GENERAL!r}, the base model: choose another name"
        )
    if not _NAME.fullmatch(domain):
        raise TrainingError(
            f"a domain cannot be called {domain!r}: use letters, digits, spaces, '_', '-' and '.', "
            "and begin with a letter or a digit"
        )


def _clean(source: Source, spelled: dict[str, str], dropped: Counter[str]) -> list[Pair]:
    """Keep the usable pairs; give equal queries the spelling of the first of them."""
    tested = {normalize(query) for query in source.tested}
    kept: dict[tuple[str, str], Pair] = {}
    for pair in source.pairs:
        reason = _fault(pair, source)
        query = normalize(pair.query)
        if not reason and query in tested:
            reason = "that another split asks too"
        if not reason and (query, pair.document) in kept:
            reason = "repeated"
        if reason:
            dropped[reason] += 1
        else:
            kept[query, pair.document] = Pair(spelled.setdefault(query, pair.query), pair.document)
    return list(kept.values())


def _collect_judged(source: Source, pairs: Sequence[Pair]) -> dict[str, frozenset[str]]:
    """Collect the documents that answer each query: from its pairs and the source's judgements."""
    beyond = {normalize(query): documents for query, documents in source.judged.items()}
    return {
        query: documents | beyond.get(normalize(query), frozenset())
        for query, documents in answers(pairs).items()
    }


def _fault(pair: Pair, source: Source) -> str:
    document = source.corpus.get(pair.document)
    if document is None:
        return "without their document"
    if min(len(pair.query.strip()), len(document.strip())) < _FEWEST_CHARACTERS:
        return "empty or too short"
    if normalize(pair.query) == normalize(document):
        return "whose query is its own document"
    return ""


def _draw_for_dev(pairs: Sequence[Pair], seed: int) -> set[str]:
    """Draw the queries of a source to hold out."""
    queries = sorted({pair.query for pair in pairs})
    count = min(_MOST_DEV_QUERIES, int(_DEV_SHARE * len(queries)))
    return set(random.Random(seed).sample(queries, count))


def _shares(counts: Sequence[int], most: int | None) -> list[int]:
    """Distribute ``most`` pairs evenly; what a small source cannot fill goes to the others."""
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
