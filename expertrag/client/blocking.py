"""Run the asynchronous client in the thread of its caller, without an event loop.

A coroutine of the client awaits nothing but its backend. Over a backend that blocks, every await is
done when it returns, so that the coroutine runs from its start to its end at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run_here(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in the thread that awaits it; ``asyncio.to_thread`` is the other way."""
    return function(*args, **kwargs)


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking call was suspended: it awaits more than its backend")


def iterate(items: AsyncIterator[T]) -> Generator[T]:
    """Yield the items of an iterator that never suspends, and close it at the end."""
    try:
        while True:
            yield complete(_next(items))
    except StopAsyncIteration:
        return
    finally:
        if isinstance(items, AsyncGenerator):
            complete(items.aclose())


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


def make_blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """Return a method that completes a method of ``self._core``, with its name and docstring."""

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return complete(method(self._core, *args, **kwargs))

    call.__qualname__ = method.__qualname__.removeprefix("Async")
    return call
