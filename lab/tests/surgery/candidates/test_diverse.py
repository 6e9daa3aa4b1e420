"""Useful items that differ: against plain loops, and where the choice is known."""

from __future__ import annotations

import numpy as np
import pytest

from expertrag_lab.surgery.candidates.diverse import diverse, like_the_task


def _plain(useful: list[float], alike: np.ndarray, count: int, diversity: float) -> list[int]:
    """Maximal marginal relevance as it is written."""
    chosen: list[int] = []
    for _ in range(min(count, len(useful))):
        scores = {
            place: (1 - diversity) * useful[place]
            - diversity * max((abs(alike[place, other]) for other in chosen), default=0.0)
            for place in range(len(useful))
            if place not in chosen
        }
        chosen.append(max(scores, key=lambda place: scores[place]))
    return chosen


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("count", [1, 4, 9, 20])
def test_it_is_maximal_marginal_relevance(count: int, diversity: float) -> None:
    draw = np.random.default_rng(count)
    for _ in range(20):
        useful = draw.random(9).tolist()
        vectors = draw.normal(size=(9, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        alike = vectors @ vectors.T
        found = diverse(useful, alike, count, diversity)
        assert list(found) == _plain(useful, alike, count, diversity)


def test_of_twins_one_is_chosen() -> None:
    alike = np.array([[1.0, 0.98, -0.1], [0.98, 1.0, 0.0], [-0.1, 0.0, 1.0]])
    useful = [0.7, 0.69, 0.6]
    assert diverse(useful, alike, 2, 0.3) == (0, 2)
    assert diverse(useful, alike, 2, 0.0) == (0, 1)
    alike[0, 1] = alike[1, 0] = -0.98  # the opposite is no diversity either
    assert diverse(useful, alike, 2, 0.3) == (0, 2)
    assert diverse([], np.zeros((0, 0)), 2, 0.3) == ()


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("most_alike", [0.5, 0.9, 1.0])
def test_rows_are_those_of_a_plain_loop(most_alike: float) -> None:
    draw = np.random.default_rng(1)
    for _ in range(10):
        labelled, rows = draw.normal(size=(4, 5)), draw.normal(size=(40, 5))
        mean = np.mean([each / np.linalg.norm(each) for each in labelled], axis=0)
        near = [_cosine(row, mean) for row in rows]
        expected: list[int] = []
        for place in sorted(range(40), key=lambda place: -near[place]):
            others = [*labelled, *(rows[other] for other in expected)]
            if len(expected) < 7 and all(_cosine(rows[place], o) <= most_alike for o in others):
                expected.append(place)
        found = like_the_task(labelled, rows, 7, most_alike)
        assert [place for place, _ in found] == expected
        np.testing.assert_allclose([cosine for _, cosine in found], [near[p] for p in expected])


def test_repeated_rows_are_left_out() -> None:
    labelled = np.array([[1.0, 0.0], [0.8, 0.6]])
    rows = np.array([[2.0, 0.0], [0.9, 0.3], [1.8, 0.6], [0.0, 1.0]])  # the first is labelled
    assert [place for place, _ in like_the_task(labelled, rows, 3, 0.99)] == [1, 3]
    assert [place for place, _ in like_the_task(labelled, rows, 1, 1.0)] == [1]
