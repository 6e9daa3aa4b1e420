"""The collections that a caller may name: create, drop and list them."""

from __future__ import annotations

from expertrag.answer.collections import DEFAULT, tenant_of
from expertrag.api.info import CollectionInfo
from expertrag.api.validation import invalid
from expertrag.auth import Caller, Scope
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.runtime import Runtime, key_of
from expertrag.serving.core.workers import CallKind

MOST_LISTED = 1_000


async def create_collection(runtime: Runtime, context: CallContext) -> None:
    """Create an empty collection, which the call names."""
    collections, key = runtime.collections, _require_name(context)
    await runtime.workers.run(
        CallKind.WRITE, context, lambda stop: collections.create(key), tenant_of(key)
    )


async def drop_collection(runtime: Runtime, context: CallContext) -> None:
    """Delete the collection of the call with its documents."""
    collections, key = runtime.collections, _require_name(context)
    await runtime.workers.run(
        CallKind.WRITE, context, lambda stop: collections.drop(key), tenant_of(key)
    )
    runtime.responses.forget(key)


async def list_collections(
    runtime: Runtime, context: CallContext, page_size: int = MOST_LISTED, page_token: str = ""
) -> tuple[list[CollectionInfo], str]:
    """Return a page of the collections that the caller may name, and the token of the next.

    :param page_token: empty for the first page; an empty one is returned with the last.
    """
    if not 1 <= page_size <= MOST_LISTED:
        raise invalid("page_size", f"is {page_size}; choose a number from 1 to {MOST_LISTED:,}")
    collections, caller = runtime.collections, context.caller
    states = await runtime.workers.run(
        CallKind.READ, context, lambda stop: collections.states(_tenant(caller))
    )
    prefix = f"{caller.access.tenant}/" if caller.access.tenant else ""
    listed = [
        CollectionInfo(state.key.removeprefix(prefix), state.loaded, state.droppable)
        for state in states
        if state.key.removeprefix(prefix) > page_token
    ]
    more = listed[page_size - 1].name if len(listed) > page_size else ""
    return listed[:page_size], more


def _require_name(context: CallContext) -> str:
    if not context.collection:
        raise invalid("name", f"is empty; name the collection, such as {DEFAULT!r}")
    return key_of(context)


def _tenant(caller: Caller) -> str | None:
    """Return the tenant whose collections a caller may name; None for every tenant."""
    everyone = not caller.access.tenant and Scope.ADMIN in caller.scopes
    return None if everyone else caller.access.tenant
