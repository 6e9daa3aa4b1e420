"""What a caller may pass by mistake: every method raises only our errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import pytest

from expertrag import AnswerOptions, Client
from expertrag.api.errors import ExpertRAGError, InvalidArgument

NOBODY = "127.0.0.1:1"
WRONG: tuple[object, ...] = (object(), "x", "", 3, -1, 2.5, True, {"a": 1}, [1], ["x"], None, b"x")
RIGHT: dict[str, Any] = {
    "answer_id": "an-id",
    "documents": (),
    "folder": "/adapters/legal",
    "ids": ["a"],
    "name": "legal",
    "query": "roses",
    "question": "What are roses?",
    "texts": ["roses"],
}
METHODS = (
    "answer", "retrieve", "rerank", "decide", "feedback", "embed", "embeddings", "upsert", "delete",
    "create_collection", "drop_collection", "load_adapter", "unload_adapter",
)  # fmt: skip
OWN_ERRORS = {("upsert", "documents")}
"""Errors of an iterable of the caller are raised as they are."""


def arguments_of(method: Callable[..., Any], name: str) -> Iterator[str]:
    """Yield the arguments of a method but for its timeout."""
    yield from (given for given in inspect.signature(method).parameters if given in RIGHT)
    if name == "answer":
        yield from get_type_hints(AnswerOptions)
    else:
        keywords = inspect.signature(method).parameters.values()
        yield from (
            item.name
            for item in keywords
            if item.name not in {*RIGHT, "timeout"} and item.kind is item.KEYWORD_ONLY
        )


@pytest.mark.parametrize("name", METHODS)
def test_wrong_arguments_raise_our_errors(name: str) -> None:
    unexpected = []
    with Client(NOBODY) as client:
        method = getattr(client, name)
        needed = {key: RIGHT[key] for key in arguments_of(method, name) if key in RIGHT}
        for argument in arguments_of(method, name):
            if (name, argument) in OWN_ERRORS:
                continue
            for value in WRONG:
                try:
                    method(**{**needed, argument: value}, timeout=0.001)
                except ExpertRAGError as error:
                    assert "\n" not in error.message
                except Exception as error:
                    unexpected.append(f"{argument}={value!r:.20}: {type(error).__name__}: {error}")
    assert not unexpected


@pytest.mark.parametrize(
    "item", [{"role": "user"}, {"role": "tool", "content": "x"}, {"content": "x"}, "x", 1, None]
)
def test_what_is_not_a_turn_is_told_with_an_example(item: object) -> None:
    with Client(NOBODY) as client, pytest.raises(InvalidArgument) as caught:
        client.answer("When?", history=[item])  # type: ignore[list-item]  # what is tested
    assert '{"role": "user", "content": ' in caught.value.message
    assert caught.value.metadata == {"field": "history"}
