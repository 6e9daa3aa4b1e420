"""Names of groups of documents."""

from __future__ import annotations

import pytest

from expertrag_index.store.groups import group_of, labelled
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
    assert labelled("legal", EXPERTS) == Group("legal", "legal")
    assert labelled("general", EXPERTS) == Group("general", "general")
    assert labelled("gardening", EXPERTS) is None
