"""A tiny untrained mixture of the fixture's network, and a few sequences of two domains."""

from __future__ import annotations

from fixture_network import Shape, new_model
from surgery_texts import Traffic

from expertrag_kernels.transformers import NAME, register
from expertrag_lab.surgery.mixture import Mixture

TRAFFIC = {
    "a": Traffic(((5, 6, 7, 8, 9), (7, 8, 9)), (2, 1)),
    "b": Traffic(((11, 12, 13, 14),), (0,)),
}


def tiny_fixture(top_k: int) -> Mixture:
    """A mixture of two layers and eight experts, without a tokenizer."""
    shape = Shape(layers=2, hidden=32, experts=8, top_k=top_k, inner=16, shared_inner=16, words=300)
    register()
    model = new_model(shape, 0, seed=1).eval().requires_grad_(False)
    model.set_experts_implementation(NAME)
    return Mixture(model, None, "tiny", "cc0-1.0")
