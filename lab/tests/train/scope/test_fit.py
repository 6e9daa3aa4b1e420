"""The features that the recogniser of scopes is fitted on."""

from __future__ import annotations

from expertrag_lab.train.scope.fit import matrix


def test_features_have_one_order_whatever_the_hashes_of_strings() -> None:
    """A step leaves some out by position, so another order gives other weights."""
    features = matrix(["Wie viele Verträge enden 2026?", "Which Café is open?"])
    assert features.has_sorted_indices
