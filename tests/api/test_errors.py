"""The error tree matches its documentation; each error has its status."""

from __future__ import annotations

import re

import grpc
import pytest

from expertrag.api import errors

TREE = {kind.__name__: kind for kind in errors.ExpertRAGError.__subclasses__()}
TREE["ExpertRAGError"] = errors.ExpertRAGError


def test_the_documented_tree_matches_the_classes() -> None:
    drawn = re.findall(r"^ +[├└─ ]*(\w+) +([A-Z_, ]+)", errors.__doc__ or "", flags=re.MULTILINE)
    assert {name for name, _ in drawn} == set(TREE)
    for name, codes in drawn:
        assert TREE[name].code in codes.replace(",", " ").split()


@pytest.mark.parametrize("kind", TREE.values(), ids=TREE)
def test_each_error_has_its_attributes(kind: type[errors.ExpertRAGError]) -> None:
    assert kind.code in grpc.StatusCode.__members__
    plain = kind("do this")
    assert str(plain) == plain.message == "do this"
    assert (plain.reason, plain.domain) == (kind.code, "expertrag")
    assert (plain.metadata, plain.request_id) == ({}, "")
    full = kind("do this", reason="WHY", metadata={"field": "k"}, request_id="r")
    assert (full.reason, full.metadata, full.request_id) == ("WHY", {"field": "k"}, "r")
