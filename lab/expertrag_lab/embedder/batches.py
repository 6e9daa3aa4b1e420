"""Batches without false negatives: no text of a batch answers another query of it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from expertrag_lab.embedder.types import Example


def batches(examples: Sequence[Example], size: int, epoch: int, seed: int) -> list[list[Example]]:
    """Shuffle examples and split them into batches; the same arguments give the same batches.

    An example is deferred to the next batch if its query or document is already in this one. It is
    also deferred if its document answers a query of this one or the reverse. A last batch with less
    than half as many examples as the first is dropped. The first is smaller than ``size`` if all
    examples share few queries or few documents.
    """
    waiting = list(examples)
    random.Random(f"{seed} {epoch}").shuffle(waiting)
    made: list[list[Example]] = []
    while waiting:
        batch, later = _fill(waiting, size)
        if made and 2 * len(batch) < len(made[0]):
            break
        made.append(batch)
        waiting = later
    return made


def _fill(waiting: Sequence[Example], size: int) -> tuple[list[Example], list[Example]]:
    batch: list[Example] = []
    later: list[Example] = []
    documents: set[str] = set()
    positives: set[str] = set()
    queries: set[str] = set()
    for place, example in enumerate(waiting):
        if len(batch) == size:
            later.extend(waiting[place:])
            break
        clash = (
            example.positive_id in positives
            or example.query in queries
            or not documents.isdisjoint(example.known_positives)
        )
        if clash:
            later.append(example)
            continue
        batch.append(example)
        documents.add(example.positive_id)
        positives |= example.known_positives | {example.positive_id}
        queries.add(example.query)
    return batch, later
