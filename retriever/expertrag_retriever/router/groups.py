"""Chooses the expert that serves documents, for groups of documents, never for a single text.

The router assigns half of the single texts of an untrained domain to some trained domain. Over many
documents of one kind such mistakes do not add up to one domain, so a group is decided with near
certainty.

    N documents, E experts; the last column of a posterior is "none of them"
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import FloatArray, Group, Progress
from expertrag_retriever.base import Embedder
from expertrag_retriever.experts.settings import GENERAL

SHARE = 0.5
"""Posterior mass that assigns a group to an expert: more likely than all else together.

Of data sets that a router does not know (`make lab-bench-router`), most of a trained domain reach
it. Most of an untrained domain do not, or are so close to a trained one (biomedicine to science)
that no bound excludes them.
"""

PRIOR_DOCUMENTS = 5.0
"""Weight, in documents, of the store's mean and of "none". The mean counts relative to a group's
documents, "none" relative to all documents. With posteriors of .95, three documents decide in a
store of nothing else, and two do not.
"""

_BATCH = 256  # texts per call of the router


def assign(
    embedder: Embedder,
    samples: Mapping[str, Sequence[str]],
    known: Collection[Group],
    progress: Progress,
) -> list[Group]:
    """Choose an expert for each group by the router's posteriors of its samples.

    :param samples: texts by group, at least one each.
    :param known: groups that were decided before.
    :param progress: called with the stage "route" after each batch.
    """
    texts = [text for sample in samples.values() for text in sample]
    rows = []
    for start in range(0, len(texts), _BATCH):
        rows.append(embedder.posteriors(texts[start : start + _BATCH]))
        progress("route", min(start + _BATCH, len(texts)), len(texts))
    ends = np.cumsum([len(sample) for sample in samples.values()])
    posteriors = dict(zip(samples, np.split(np.concatenate(rows), ends[:-1]), strict=True))
    return decide(posteriors, embedder.experts, known)


def decide(
    posteriors: Mapping[str, FloatArray], experts: Sequence[str], known: Collection[Group]
) -> list[Group]:
    """Choose an expert for each group.

    :param posteriors: [N, E + 1] of the sampled documents, by group; at least one each.
    :param known: groups that were decided before; they count in the store's mean.
    """
    names = (*experts, GENERAL)
    none = np.zeros(len(names))
    none[-1] = PRIOR_DOCUMENTS
    old = [
        group.documents * np.array([group.evidence.get(name, 0.0) for name in names])
        for group in known
    ]
    posteriors = {name: _finite(rows) for name, rows in posteriors.items()}
    new = [rows.sum(axis=0, dtype=np.float64) for rows in posteriors.values()]
    mass = np.sum([none, *old, *new], axis=0)  # [E + 1]
    mean = mass / mass.sum()
    return [_decide_group(name, rows, names, mean) for name, rows in posteriors.items()]


def _finite(rows: FloatArray) -> FloatArray:
    """Replace non-finite rows of posteriors [N, E + 1] by "none of them"."""
    none = np.eye(1, rows.shape[1], rows.shape[1] - 1, dtype=np.float32)
    return np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, none)


def _decide_group(
    name: str,
    rows: FloatArray,
    names: Sequence[str],
    mean: NDArray[np.float64],
) -> Group:
    means = rows.mean(axis=0, dtype=np.float64)  # [E + 1]
    shares = (len(rows) * means + PRIOR_DOCUMENTS * mean) / (len(rows) + PRIOR_DOCUMENTS)
    best = int(shares.argmax())
    chosen = best if shares[best] >= SHARE else len(names) - 1
    return Group(
        name,
        names[chosen],
        round(float(shares[chosen]), 4),
        len(rows),
        {expert: round(float(value), 4) for expert, value in zip(names, means, strict=True)},
    )
