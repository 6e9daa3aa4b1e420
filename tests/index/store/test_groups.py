"""Names of groups of documents."""

from __future__ import annotations

import pytest

from expertrag_index.store.groups import assign_by_name, group_of
from expertrag_index.types import Group

EXPERTS = ("legal", "finance")


@pytest.mark.parametrize(
    ("domain", "source", "name"),
    [
        ("legal", "/docs/contracts/a.txt", "legal"),
        (None, "/docs/contracts/a.txt", "from /docs/contracts"),
        ("", "/docs/contracts/b.md", "from /docs/contracts"),
        (None, "/docs/corpus.jsonl.gz", "from /docs/corpus.jsonl.gz"),
        (None, "/docs/people.CSV", "from /docs/people.CSV"),
        (None, "api", "from api"),
        (None, "a.txt", "from a.txt"),
        (None, "", "from "),
    ],
)
def test_the_group_of_a_document(domain: str | None, source: str, name: str) -> None:
    assert group_of(domain, source) == name


def test_a_label_equal_to_an_expert_decides() -> None:
    assert assign_by_name("legal", EXPERTS) == Group("legal", "legal")
    assert assign_by_name("general", EXPERTS) == Group("general", "general")
    assert assign_by_name("gardening", EXPERTS) is None
