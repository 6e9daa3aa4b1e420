"""Training a router: reproducible by seed; rejects unusable texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from router_fixtures import TEXTS, pool

from expertrag_lab.router.clusters import k_means, nearest_means
from expertrag_lab.router.fit import FEWEST_TEXTS, fit_router
from expertrag_lab.router.settings import RouterSettings
from expertrag_lab.router.unlabelled import cluster_texts
from expertrag_retriever.errors import RetrieverError, RouterError

FLAT = [text for some in TEXTS.values() for text in some]


def test_the_same_seed_gives_the_same_router() -> None:
    first, figures = fit_router(TEXTS, pool, seed=3)
    second, again = fit_router(TEXTS, pool, seed=3)
    assert figures == again
    assert torch.equal(first.prototypes, second.prototypes)
    assert torch.equal(first.whitener, second.whitener)
    assert (first.temperature, first.reach) == (second.temperature, second.reach)
    assert first.evidence == second.evidence


def test_figures_are_of_held_out_texts() -> None:
    shuffled = np.random.default_rng(0).permutation(FLAT).tolist()
    noise = {"a": shuffled[:180], "b": shuffled[180:]}  # nothing can be learned from this
    assert fit_router(noise, pool)[1].accuracy < 0.65
    assert fit_router(TEXTS, pool)[1].accuracy > 0.97


def test_hidden_states_fewer_than_dimensions_and_few_texts() -> None:
    few = {name: some[:FEWEST_TEXTS] for name, some in TEXTS.items()}
    router, figures = fit_router(few, pool, settings=RouterSettings(dimensions=500))
    assert router.whitener.shape == (24, 24)
    assert len(router.prototypes) == 3  # one each: 20 texts are too few for more
    assert figures.texts == 60


def test_repeated_and_empty_texts_are_ignored() -> None:
    plain, _ = fit_router(TEXTS, pool)
    padded = {name: [*some, *some[:5], "", "  \n", f" {some[0]} "] for name, some in TEXTS.items()}
    assert torch.equal(fit_router(padded, pool)[0].prototypes, plain.prototypes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {"legal": t["legal"]}, "at least two domains"),
        (lambda t: {}, "at least two domains"),
        (lambda t: {**t, "tiny": ["one", "two", "three"]}, "domain tiny has 3 distinct texts"),
        (lambda t: {**t, "same": ["one"] * 500}, "domain same has 1 distinct texts"),
        (lambda t: {**t, "empty": ["", " "] * 50}, "domain empty has 0 distinct texts"),
        (lambda t: {**t, "copy": t["legal"]}, "domain legal has 0 distinct texts that no other"),
        (lambda t: {"general": t["legal"], "finance": t["finance"]}, "cannot be called 'general'"),
        (lambda t: {" ": t["legal"], "finance": t["finance"]}, "cannot be called ' '"),
    ],
)
def test_rejects_unusable_domains(change: Any, message: str) -> None:
    with pytest.raises(RouterError, match=message) as caught:
        fit_router(change(TEXTS), pool)
    assert isinstance(caught.value, RetrieverError)
    assert "\n" not in str(caught.value)


def test_rejects_non_finite_states() -> None:
    with pytest.raises(RouterError, match="non-finite states"):
        fit_router(TEXTS, lambda some: np.full((len(some), 8), np.nan, dtype=np.float32))


def test_identical_states_give_finite_posteriors() -> None:
    router, figures = fit_router(TEXTS, lambda some: np.ones((len(some), 8), dtype=np.float32))
    assert torch.isfinite(router.posterior(torch.ones(1, 8))).all()
    assert figures.accuracy < 0.5


@pytest.mark.parametrize("wrong", [{"prototypes": 0}, {"dimensions": 0}, {"shrinkage": 0.0}])
def test_rejects_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        RouterSettings(**wrong)


def test_distances_by_hand() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0]], dtype=np.float32)
    distances, nearest = nearest_means(points, points, 2)
    assert distances.tolist() == [[0.0, 25.0], [0.0, 25.0]]
    assert nearest.tolist() == [[0, 1], [1, 0]]


def test_k_means_finds_the_groups() -> None:
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0], [10, 0], [0, 10]])
    points = (np.repeat(centers, 30, axis=0) + rng.normal(size=(90, 2))).astype(np.float32)
    means, nearest = k_means(points, 3, seed=0)
    assert means.shape == (3, 2)
    assert [len(set(nearest[i : i + 30].tolist())) for i in (0, 30, 60)] == [1, 1, 1]


@pytest.mark.parametrize(("points", "count"), [(1, 4), (5, 4), (3, 3)])
def test_k_means_of_fewer_different_points_than_means(points: int, count: int) -> None:
    same = np.ones((points, 2), dtype=np.float32)
    means, nearest = k_means(same, count, seed=0)
    assert means.tolist() == [[1.0, 1.0]]
    assert nearest.tolist() == [0] * points


def test_clusters_are_the_domains_and_are_named_by_their_words() -> None:
    clusters = cluster_texts(FLAT, pool)
    assert len(clusters) == 3
    for name, some in clusters.items():
        domain = next(domain for domain, own in TEXTS.items() if some[0] in own)
        assert len(set(some) & set(TEXTS[domain])) > 0.95 * len(some)
        first = TEXTS[domain]
        assert all(any(word in text for text in first) for word in name.split("-"))
    assert list(cluster_texts(FLAT, pool)) == list(clusters)
    router, figures = fit_router(clusters, pool)
    assert figures.accuracy > 0.95
    assert router.domains == tuple(clusters)


def test_a_given_number_of_clusters() -> None:
    clusters = cluster_texts(FLAT, pool, count=2)
    assert len(clusters) == 2
    assert sum(map(len, clusters.values())) == len(FLAT)


@pytest.mark.parametrize(("count", "message"), [(1, "must be 2 or more"), (40, "too few")])
def test_rejects_impossible_numbers_of_clusters(count: int, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        cluster_texts(FLAT, pool, count)
