"""Choose useful items that differ from one another.

C candidates, K labelled rows, N open rows, H dimensions of an embedding
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def diverse(
    useful: Sequence[float], alike: Floats, count: int, diversity: float
) -> tuple[int, ...]:
    """Choose candidates one by one, each the best of (1 - d) useful - d alike.

    That is maximal marginal relevance (Carbonell & Goldstein 1998). A candidate is as alike as it
    is to the chosen one that it is most like.

    :param useful: (C,) how useful each is.
    :param alike: (C, C) similarities, whose signs do not count.
    :param count: of candidates at most.
    :param diversity: d, in [0, 1]; 0: usefulness alone.
    :returns: places of the chosen, the first one first; of equal candidates, the earlier one.
    """
    worth, near = np.asarray(useful, np.float64), np.zeros(len(useful))
    chosen: list[int] = []
    while len(chosen) < min(count, len(worth)):
        score = (1 - diversity) * worth - diversity * near
        score[chosen] = -np.inf
        best = int(score.argmax())
        chosen.append(best)
        near = np.maximum(near, np.abs(alike[best]))
    return tuple(chosen)


def like_the_task(
    labelled: Floats, rows: Floats, count: int, most_alike: float
) -> tuple[tuple[int, float], ...]:
    """Choose open rows by the cosine of their embedding with the mean of the labelled ones.

    As in K-shot selection (Yang et al. 2024), which goes by the distance to the mean, takes the
    nearest rows, and drops those that are nearly alike. Here the next row takes the place of one
    that is dropped, and rows that are nearly a labelled one are also dropped.

    :param labelled: (K, H) embeddings; their lengths do not count, nor do the lengths of ``rows``
        (N, H).
    :param count: of rows at most.
    :param most_alike: cosine above which a row repeats a labelled row, or one chosen before it.
    :returns: places of the chosen rows and their cosines, the nearest one first.
    """
    known, others = _directions(labelled), _directions(rows)
    near = others @ _directions(known.mean(axis=0, keepdims=True))[0]  # [N]
    left = (others @ known.T).max(axis=1) <= most_alike  # [N]
    chosen: list[tuple[int, float]] = []
    for place in np.argsort(-near, kind="stable").tolist():
        if len(chosen) == count:
            break
        if left[place]:
            chosen.append((place, float(near[place])))
            left &= others @ others[place] <= most_alike
    return tuple(chosen)


def _directions(vectors: Floats) -> NDArray[np.float64]:
    directions = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return directions / np.where(lengths > 0, lengths, 1.0)
