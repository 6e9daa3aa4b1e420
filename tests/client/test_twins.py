"""Both clients have the same methods."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, Generator

import pytest

from expertrag.client import AsyncClient, Client

NAMES = [name for name in vars(Client) if not name.startswith("_")]


def test_the_same_names() -> None:
    assert [name for name in vars(AsyncClient) if not name.startswith("_")] == NAMES


@pytest.mark.parametrize("name", ["answer", "stream"])
def test_an_unknown_option_is_named(name: str) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(TypeError, match="no option 'max_token'"):
        list(getattr(client, name)("When?", max_token=5))


@pytest.mark.parametrize("name", [*NAMES, "__init__"])
def test_the_same_signatures(name: str) -> None:
    sync, twin = getattr(Client, name), getattr(AsyncClient, name)
    ours, theirs = inspect.signature(sync), inspect.signature(twin)
    assert ours.parameters == theirs.parameters
    assert sync.__doc__ == twin.__doc__
    if name == "stream":
        assert typing.get_origin(typing.get_type_hints(sync)["return"]) is Generator
        assert typing.get_origin(typing.get_type_hints(twin)["return"]) is AsyncGenerator
        assert inspect.isasyncgenfunction(twin)
        return
    assert ours.return_annotation == theirs.return_annotation
    assert inspect.iscoroutinefunction(twin) is (name != "__init__")
