"""The assignment of groups of documents to experts."""

from __future__ import annotations

import numpy as np
import pytest

from expertrag_retriever.router.groups import decide

EXPERTS = ("legal", "finance")


def rows(
    count: int, legal: float, finance: float = 0.0
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.tile(np.array([[legal, finance, 1 - legal - finance]], np.float32), (count, 1))


def test_shares_by_hand() -> None:
    """Five documents of .95 and five of the prior: the store's mean, which has five of none."""
    (group,) = decide({"from a": rows(5, 0.95)}, EXPERTS, [])
    mean = 5 * 0.95 / 10
    assert group.share == pytest.approx((5 * 0.95 + 5 * mean) / 10, abs=1e-4)
    assert (group.expert, group.documents) == ("legal", 5)
    assert group.evidence == {"legal": 0.95, "finance": 0.0, "general": 0.05}


@pytest.mark.parametrize(("count", "expert"), [(1, "general"), (2, "general"), (3, "legal")])
def test_one_or_two_documents_do_not_decide_alone(count: int, expert: str) -> None:
    (group,) = decide({"from a": rows(count, 0.95)}, EXPERTS, [])
    assert group.expert == expert


def test_few_documents_follow_the_domain_of_the_store() -> None:
    seen = {"from a": rows(100, 0.95), "from b": rows(1, 0.95), "from c": rows(1, 0.0)}
    assert [group.expert for group in decide(seen, EXPERTS, [])] == ["legal", "legal", "legal"]
    known = decide({"from a": rows(100, 0.95)}, EXPERTS, [])
    assert decide({"from b": rows(1, 0.95)}, EXPERTS, known)[0].expert == "legal"


def test_a_non_finite_posterior_counts_as_none() -> None:
    broken = rows(1, np.nan)
    (mostly,) = decide({"a": np.concatenate([rows(99, 0.9), broken])}, EXPERTS, [])
    (wholly,) = decide({"b": broken}, EXPERTS, [])
    assert (mostly.expert, wholly.expert) == ("legal", "general")
    assert (wholly.share, wholly.evidence["general"]) == (1.0, 1.0)


def test_a_group_of_no_clear_domain_is_general() -> None:
    seen = {
        "foreign": rows(100, 0.5),  # what half of the texts of an untrained domain look like
        "mixed": np.concatenate([rows(50, 0.95), rows(50, 0.0, 0.95)]),
        "none": rows(100, 0.02, 0.03),
        "legal": rows(100, 0.9),
    }
    found = {group.name: group.expert for group in decide(seen, EXPERTS, [])}
    assert found == {"foreign": "general", "mixed": "general", "none": "general", "legal": "legal"}
