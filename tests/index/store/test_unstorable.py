"""Documents that a store cannot hold, and what to do about them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from expertrag_index.store.unstorable import unstorable
from expertrag_index.types import Document


@pytest.mark.parametrize(
    "document",
    [
        Document("a", "text"),
        Document("a", "", labels=["team:red"], metadata={"year": 2024, "ok": True, "of": [1, "b"]}),
        Document("a", "\U0001f339", metadata={"low": -(2**63) + 1, "high": 2**63 - 1}),
    ],
)
def test_a_storable_document(document: Document) -> None:
    assert unstorable(document, "file.md") is None


@pytest.mark.parametrize(
    ("change", "reason", "cure"),
    [
        ({"metadata": {"$labels": ["a"]}}, "metadata field '$labels' is reserved", "rename"),
        ({"labels": ["two words"]}, "access label 'two words' is not 1 to 64", "rename the label"),
        ({"metadata": {"big": 2**63}}, "'big' is not a string, finite number", "change or remove"),
        ({"metadata": {"odd": math.inf}}, "'odd' is not a string, finite", "change or remove"),
        ({"metadata": {"odd": [1, None]}}, "'odd' is not a string", "change or remove"),
        ({"text": "a\0b"}, "contains a NUL", "remove the character"),
        ({"title": "\ud800"}, "a NUL or a lone surrogate", "remove the character"),
        ({"metadata": {"a\0": 1}}, "contains a NUL", "remove the character"),
        ({"metadata": {"a": ["\0"]}}, "contains a NUL", "remove the character"),
    ],
)
def test_a_failure_names_reason_and_cure(change: dict[str, Any], reason: str, cure: str) -> None:
    failure = unstorable(Document(**{"id": "a", "text": "text", **change}), "file.md")
    assert failure is not None
    assert reason in failure.reason
    assert cure in failure.cure
    assert (failure.source, failure.document_id) == ("file.md", "a")
