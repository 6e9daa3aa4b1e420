"""The loss against hand computation; a batch in parts gives the gradients of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from expertrag_lab.embedder.loss import Batch, backward, batch_of, loss_of
from expertrag_lab.embedder.types import Example

EXAMPLES = (
    Example("q1", "d1", "one", (("d3", "three"),), frozenset({"d1"})),
    Example("q2", "d2", "two", (("d1b", "one"),), frozenset({"d2", "d3"})),
)


def test_answers_of_a_query_are_not_its_negatives() -> None:
    batch = batch_of(EXAMPLES)
    assert batch.queries == ("q1", "q2")
    assert batch.documents == ("one", "two", "three", "one")
    # "one" stands there twice under two ids; "three" answers q2 though it was mined for q1
    assert batch.false_negatives.tolist() == [
        [False, False, False, True],
        [False, False, True, False],
    ]


def test_the_loss_is_that_of_the_equations() -> None:
    batch = Batch(("q",), ("a", "b"), torch.zeros(1, 2, dtype=torch.bool))
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    base = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    ranking = float(torch.log(1 + torch.exp(torch.tensor(0.2 / 0.1))))
    assert loss_of(batch, vectors, base, 0.1, 0.0).item() == pytest.approx(ranking)
    share = torch.softmax(torch.tensor([8.0, 6.0]), 0)
    kept = float((share * (share.log() - torch.log_softmax(torch.tensor([6.0, 8.0]), 0))).sum())
    assert loss_of(batch, vectors, base, 0.1, 2.0).item() == pytest.approx(ranking + 2 * kept)


def test_an_expert_equal_to_the_base_has_only_the_ranking_loss() -> None:
    torch.manual_seed(0)
    batch = batch_of(EXAMPLES)
    vectors = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    alone = loss_of(batch, vectors, vectors, 0.05, 0.0)
    assert loss_of(batch, vectors, vectors, 0.05, 1.0).item() == pytest.approx(alone.item())


def test_parts_give_the_gradients_of_the_whole() -> None:
    torch.manual_seed(0)
    batch = batch_of(EXAMPLES)
    inputs = {text: torch.randn(5) for text in dict.fromkeys(batch.texts)}
    base = torch.nn.functional.normalize(torch.randn(6, 3), dim=1)
    gradients, losses = [], []
    for part in (6, 2):
        torch.manual_seed(1)
        layer = torch.nn.Linear(5, 3)

        def vectors(texts: Sequence[str], layer: torch.nn.Linear = layer) -> torch.Tensor:
            given = torch.stack([inputs[text] for text in texts])
            return torch.nn.functional.normalize(layer(given), dim=1)

        losses.append(backward(batch, vectors, base, temperature=0.05, anchor=1.0, part=part))
        assert layer.weight.grad is not None
        gradients.append(layer.weight.grad)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-5)
