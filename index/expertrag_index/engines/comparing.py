"""Compares what an engine holds with what the database says it should hold."""

from __future__ import annotations

import numpy as np

from expertrag_index.search.vector_store import VectorBatch

_SHOWN = 10  # chunks that are named


class Comparison:
    """The differences between an engine and the database."""

    def __init__(self, url: str, generation: int) -> None:
        self._url = url
        self._generation = generation
        self._compared = 0
        self._missing: list[int] = []
        self._different: list[int] = []

    def compare(self, expected: VectorBatch, actual: VectorBatch) -> None:
        """Compare chunks; ``found`` has those that the engine holds, by ascending key."""
        self._compared += len(expected.keys)
        places = {key: position for position, key in enumerate(actual.keys.tolist())}
        for row, key in enumerate(expected.keys.tolist()):
            if key not in places:
                self._missing.append(key)
            elif not self._same(expected, row, actual, places[key]):
                self._different.append(key)

    def _same(self, expected: VectorBatch, row: int, actual: VectorBatch, place: int) -> bool:
        return bool(
            expected.added_in[row] == actual.added_in[place]
            and actual.removed_in[place] > self._generation  # a later one may have ended it
            and expected.experts[row] == actual.experts[place]
            and np.array_equal(expected.vectors[row], actual.vectors[place])
            and dict(expected.fields[row]) == dict(actual.fields[place])
            and sorted(expected.labels[row]) == sorted(actual.labels[place])
        )

    def problems(self, held: int) -> list[str]:
        """Return the differences as lines.

        :param held: number of chunks of the generation that the engine holds.
        """
        lines = [
            f"{self._url} {what} {len(keys):,} chunks: {_list_keys(keys)}"
            for what, keys in (("lacks", self._missing), ("holds other data of", self._different))
            if keys
        ]
        extra = held - self._compared + len(self._missing)
        if extra > 0:
            lines.append(f"{self._url} holds {extra:,} chunks that are not in this generation")
        return lines


def _list_keys(keys: list[int]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(map(str, keys[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")
