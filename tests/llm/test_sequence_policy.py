"""The policy of a sequence is the key under which its prefixes are cached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from expertrag.api.adapters import AdapterInfo
from expertrag.llm.adapters.loaded import LoadedAdapter
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag.llm.sequence_policy import ROOT, SequencePolicy
from expertrag_kernels.routing import AS_THE_MODEL, Routing

_ONE = Routing(top_k=1)


def _pattern(name: str) -> ExpertPattern:
    return ExpertPattern(name, torch.ones(1, 2, dtype=torch.bool))


def _adapter(digest: str, name: str = "legal") -> LoadedAdapter:
    return LoadedAdapter(AdapterInfo(name, 2, 64, digest, "base"), object())


@pytest.mark.parametrize(
    ("fields", "root"),
    [
        ({}, ROOT),
        ({"expert": 0}, (0, "", AS_THE_MODEL, "", "")),
        ({"routing": _ONE}, (-1, "", _ONE, "", "")),
        ({"pattern": _pattern("law")}, (-1, "", AS_THE_MODEL, "", "law")),
        ({"adapter": _adapter("3f")}, (-1, "", AS_THE_MODEL, "3f", "")),
        ({"salt": "acme"}, (-1, "acme", AS_THE_MODEL, "", "")),
    ],
)
def test_a_root_differs_by_all_that_changes_keys(fields: dict[str, Any], root: Any) -> None:
    policy = SequencePolicy(**fields)
    assert policy.root == root
    assert replace(policy, salt="globex").root != root


def test_equal_keys_have_one_root() -> None:
    one = SequencePolicy(pattern=_pattern("law"), adapter=_adapter("3f"))
    other = SequencePolicy(pattern=_pattern("law"), adapter=_adapter("3f", "renamed"))
    assert one != other and one.root == other.root
    assert hash(one.root) == hash(other.root)
