"""The posterior of a trained router, and the experts that it chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from router_fixtures import FRESH, OF_NO_DOMAIN, TEXTS, pool

from expertrag_lab.router.fit import fit_router
from expertrag_lab.router.measure import confusion, figures
from expertrag_retriever.router.router import DomainRouter, choose


def hand_made(**changes: Any) -> DomainRouter:
    """Two domains on a line: a at (1, 0), b at (0, 1), distances per dimension."""
    parts: dict[str, Any] = {
        "domains": ("a", "b"),
        "center": torch.zeros(2),
        "whitener": torch.eye(2),
        "prototypes": torch.eye(2),
        "log_share": torch.zeros(2),
        "owner": torch.tensor([0, 1]),
        "temperature": 0.5,
        "reach": 0.5,
        "slope": 10.0,
    }
    return DomainRouter(**{**parts, **changes})


@pytest.fixture(scope="module")
def router() -> DomainRouter:
    return fit_router(TEXTS, pool)[0]


def test_posterior_by_hand() -> None:
    posterior = hand_made().posterior(torch.tensor([[3.0, 0.0]]))
    # Distances 0 and sqrt(2 / 2) = 1; log likelihoods 0 and -1; none is sigmoid(10 (0 - .5)).
    none = 1 / (1 + np.exp(5.0))
    a = 1 / (1 + np.exp(-1.0))
    assert posterior[0].tolist() == pytest.approx([a * (1 - none), (1 - a) * (1 - none), none])


def test_the_share_of_a_prototype_counts() -> None:
    shared = hand_made(
        prototypes=torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        log_share=torch.tensor([0.25, 0.75, 1.0]).log(),
        owner=torch.tensor([0, 0, 1]),
    )
    rows = torch.tensor([[1.0, 2.0], [5.0, 1.0]])
    assert torch.allclose(shared.posterior(rows), hand_made().posterior(rows))


@pytest.mark.parametrize("rows", [0, 1, 7])
@pytest.mark.parametrize("allowed", [None, (), ("legal",), ("legal", "finance"), ("unheard-of",)])
def test_rows_sum_to_one(router: DomainRouter, rows: int, allowed: Any) -> None:
    pooled = torch.randn(rows, 24, generator=torch.Generator().manual_seed(0))
    posterior = router.posterior(pooled, allowed)
    assert posterior.shape == (rows, 4)
    assert torch.allclose(posterior.sum(dim=1), torch.ones(rows))
    assert (posterior >= 0).all()


def test_extreme_states_give_probabilities(router: DomainRouter) -> None:
    pooled = torch.tensor([[0.0] * 24, [1e30] * 24, [1e-30] * 24])
    posterior = router.posterior(pooled)
    assert torch.isfinite(posterior).all()
    assert torch.allclose(posterior.sum(dim=1), torch.ones(3))


def test_domains_that_are_not_allowed_are_ignored(router: DomainRouter) -> None:
    pooled = torch.from_numpy(pool(FRESH["legal"]))
    posterior = router.posterior(pooled, ["finance", "medicine"])
    assert (posterior[:, 0] == 0).all()
    # Far from all allowed domains: the base model serves them, not an expert of another domain.
    assert (posterior.argmax(dim=1) == 3).float().mean() > 0.8
    legal = router.posterior(pooled, ["legal", "unheard-of"])
    assert (legal.argmax(dim=1) == 0).float().mean() > 0.85


def test_without_allowed_domains_every_text_is_of_none(router: DomainRouter) -> None:
    for allowed in ((), ("unheard-of",)):
        assert router.posterior(torch.randn(3, 24), allowed).tolist() == [[0.0, 0.0, 0.0, 1.0]] * 3


def test_accurate_and_calibrated_on_fresh_texts(router: DomainRouter) -> None:
    pooled = torch.from_numpy(pool([text for some in FRESH.values() for text in some]))
    found = figures(router.posterior(pooled).numpy(), np.repeat(np.arange(3), 60))
    assert found.accuracy > 0.97
    assert found.ece < 0.05
    assert found.known > 0.85


def test_texts_of_no_domain_are_none(router: DomainRouter) -> None:
    posterior = router.posterior(torch.from_numpy(pool(OF_NO_DOMAIN)))
    assert (posterior.argmax(dim=1) == 3).float().mean() > 0.9


def test_float_types_give_the_same_choice(router: DomainRouter) -> None:
    pooled = torch.from_numpy(pool(FRESH["finance"]))
    exact, coarse = router.posterior(pooled), router.posterior(pooled.bfloat16())
    assert coarse.dtype == torch.float32
    assert (exact.argmax(dim=1) == coarse.argmax(dim=1)).float().mean() > 0.95


@pytest.mark.parametrize(
    ("posterior", "index", "weights"),
    [
        ([0.9, 0.06, 0.04], [0, 2], [1.0, 0.0]),  # sure: alone
        ([0.6, 0.3, 0.1], [0, 1], [2 / 3, 1 / 3]),  # unsure: two, by posterior
        ([0.6, 0.1, 0.3], [0, 2], [2 / 3, 1 / 3]),  # the second is the base model
        ([0.3, 0.2, 0.5], [2, 2], [1.0, 0.0]),  # none of them: the base model alone
        ([0.8, 0.2, 0.0], [0, 2], [1.0, 0.0]),  # exactly top_p
    ],
)
def test_one_or_two_experts(posterior: list[float], index: list[int], weights: list[float]) -> None:
    choice = choose(torch.tensor([posterior]))
    assert choice.index.tolist() == [index]
    assert choice.weights[0].tolist() == pytest.approx(weights)


def test_choice_of_no_texts() -> None:
    assert choose(torch.empty(0, 3)).index.shape == (0, 2)


def test_figures_by_hand() -> None:
    posterior = np.array([[0.9, 0.1, 0.0], [0.3, 0.2, 0.5], [0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    labels = np.array([0, 0, 0, 1])
    found = figures(posterior.astype(np.float32), labels)
    assert (found.accuracy, found.texts) == (0.5, 4)
    assert found.known == 0.75  # .5 is known
    assert confusion(posterior, labels).tolist() == [[1, 0, 2], [1, 0, 0]]
