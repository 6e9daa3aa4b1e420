"""Which rows of an open set to add to a few labelled ones (K-shot selection, Yang et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expertrag_index.types import Progress
from expertrag_lab.json_lines import find_file, read_lines, write_lines
from expertrag_lab.new_file import new_file
from expertrag_lab.surgery.candidates.diverse import Floats, like_the_task
from expertrag_lab.surgery.retrieved_prompts import RetrievedPrompt, read_prompts

Embed = Callable[[Sequence[str]], Floats]
"""Returns the embeddings (N, H) of N questions."""
MOST_ALIKE = 0.9
"""Cosine above which questions repeat each other, as in the authors' code."""
_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class AddedRows:
    """What was written.

    :param rows: rows of the open set that were chosen, of ``read``.
    :param nearest: cosine of the first one's question with the mean of the labelled questions;
        ``farthest``: of the last one's. None if no row was chosen.
    """

    file: Path
    read: int
    rows: int
    nearest: float | None
    farthest: float | None


def add_rows(
    labelled: Sequence[RetrievedPrompt],
    source: Path,
    out: Path,
    count: int,
    embed: Embed,
    report: Progress,
    most_alike: float = MOST_ALIKE,
) -> AddedRows:
    """Write the rows of an open set whose questions are most like the labelled ones, and differ.

    :param source: file of rows, as :mod:`retrieved_prompts` has them.
    :param out: file to create; it gets the rows as they are, the nearest one first.
    :param count: of rows at most; see :func:`like_the_task`.
    :raises NotFound: there is no file ``source``.
    :raises InvalidArgument: one of its rows is not as it should be.
    :raises Conflict: ``out`` exists.
    """
    prompts = read_prompts(source)
    own = embed([item.question for item in labelled])
    vectors = []
    for start in range(0, len(prompts), _AT_A_TIME):
        report("embed open rows", start, len(prompts))
        vectors.append(embed([item.question for item in prompts[start : start + _AT_A_TIME]]))
    report("embed open rows", len(prompts), len(prompts))
    chosen = like_the_task(own, np.concatenate(vectors), count, most_alike)
    items = [item for _, item in read_lines(find_file(source))[0]]
    with new_file(out) as path:
        write_lines(path, [items[place] for place, _ in chosen])
    near = [cosine for _, cosine in chosen]
    return AddedRows(
        out, len(prompts), len(near), near[0] if near else None, near[-1] if near else None
    )
