"""Parsing of --data."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.named_sets import parse_data


def test_a_domain_is_named_explicitly_or_after_its_path() -> None:
    assert parse_data(["legal=a/b", "c/finance", "legal=d", "e/banking.jsonl.gz"]) == {
        "legal": (Path("a/b"), Path("d")),
        "finance": (Path("c/finance"),),
        "banking": (Path("e/banking.jsonl.gz"),),
    }


@pytest.mark.parametrize("item", ["=folder", "general=folder", "", "x/general"])
def test_invalid_domain_names(item: str) -> None:
    with pytest.raises(InvalidArgument, match="does not name a domain"):
        parse_data([item])
