"""Metadata as the store keeps it: dotted names with a scalar or a list."""

from __future__ import annotations

from typing import Any

import pytest

from expertrag_index.store.metadata import (
    LABEL,
    MOST_LEVELS,
    MOST_VALUES,
    NestingError,
    flatten,
    scalars_of,
)


def _keep(leaf: Any, _name: str) -> Any:
    return leaf


@pytest.mark.parametrize(
    ("metadata", "flat"),
    [
        ({"author": {"name": "Ada"}}, {"author.name": "Ada"}),
        ({"tags": ["a", ["b"]]}, {"tags": ["a", "b"]}),
        ({"authors": [{"name": "Ada"}, {"name": "Al"}]}, {"authors.name": ["Ada", "Al"]}),
        ({"tags": ["a"]}, {"tags": ["a"]}),
        ({"tags": []}, {}),
        ({"year": None}, {}),
        ({"a.b": 1, "a": {"b": 2}}, {"a.b": [1, 2]}),
        ({"tags": {"b", "a"}}, {"tags": ["a", "b"]}),
    ],
)
def test_nested_fields_become_dotted_names(metadata: dict[str, Any], flat: dict[str, Any]) -> None:
    assert flatten(metadata, _keep) == flat


def test_deep_and_large_metadata_is_refused() -> None:
    deep: Any = 1
    for _ in range(MOST_LEVELS + 1):
        deep = [deep]
    with pytest.raises(NestingError, match=f"deeper than {MOST_LEVELS} levels"):
        flatten({"deep": deep}, _keep)
    assert len(flatten({"many": [0] * MOST_VALUES}, _keep)["many"]) == MOST_VALUES
    with pytest.raises(NestingError, match="more than 10,000 values"):
        flatten({"many": [0] * (MOST_VALUES + 1)}, _keep)


def test_a_value_has_one_scalar_or_several() -> None:
    assert scalars_of("a") == ["a"]
    assert scalars_of(["a", 2]) == ["a", 2]


@pytest.mark.parametrize("label", ["a", "team:red", "x@y.z", "é", "_" * 64])
def test_labels(label: str) -> None:
    assert LABEL.fullmatch(label)


@pytest.mark.parametrize("label", ["", "a b", "a/b", "_" * 65, "a\n"])
def test_what_is_not_a_label(label: str) -> None:
    assert not LABEL.fullmatch(label)
