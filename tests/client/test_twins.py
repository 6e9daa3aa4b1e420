"""Both clients have the same methods."""

from __future__ import annotations

import inspect
import typing

import pytest

from expertrag.client import AsyncClient, Client
from expertrag.client.decisions import AsyncDecisions, Decisions
from expertrag.client.documents import AsyncDocuments, Documents

TWINS = ((Client, AsyncClient), (Documents, AsyncDocuments), (Decisions, AsyncDecisions))


def names(kind: type[object]) -> list[str]:
    return [name for name in vars(kind) if not name.startswith("_")]


METHODS = [
    (Client, AsyncClient, "__init__"),
    *(
        (sync, twin, name)
        for sync, twin in TWINS
        for name in names(sync)
        if not isinstance(getattr(sync, name), property)
    ),
]


@pytest.mark.parametrize(("sync", "twin"), TWINS)
def test_the_same_names(sync: type[object], twin: type[object]) -> None:
    assert names(twin) == names(sync)


@pytest.mark.parametrize("name", ["answer", "stream"])
def test_an_unknown_option_is_named(name: str) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(TypeError, match="no option 'max_token'"):
        list(getattr(client, name)("When?", max_token=5))


@pytest.mark.parametrize(("kind", "other", "name"), METHODS)
def test_the_same_signatures(kind: type[object], other: type[object], name: str) -> None:
    sync, twin = getattr(kind, name), getattr(other, name)
    ours, theirs = inspect.signature(sync), inspect.signature(twin)
    assert ours.parameters == theirs.parameters
    assert sync.__doc__ == twin.__doc__
    if inspect.isasyncgenfunction(twin):
        returned = [typing.get_type_hints(method)["return"] for method in (sync, twin)]
        here, there = (typing.get_origin(each).__name__ for each in returned)
        assert (here in ("Generator", "Iterator"), there) == (True, f"Async{here}")
        return
    assert ours.return_annotation == theirs.return_annotation
    assert inspect.iscoroutinefunction(twin) is (name != "__init__")
