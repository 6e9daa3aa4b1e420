"""CollectionService: create, drop and list collections."""

from __future__ import annotations

from expertrag.answer.collections import DEFAULT, tenant_of
from expertrag.api.validation import invalid
from expertrag.auth import Caller, Scope
from expertrag.serving.core.call import CALL
from expertrag.serving.core.runtime import Servicer, key_of
from expertrag.serving.core.workers import CallKind, Context
from expertrag.v1 import collection_pb2
from expertrag.v1.collection_pb2_grpc import CollectionServiceServicer

MOST_LISTED = 1_000


class CollectionService(Servicer, CollectionServiceServicer):
    """Manages the collections that a caller may name."""

    async def CreateCollection(
        self, request: collection_pb2.CreateCollectionRequest, context: Context
    ) -> collection_pb2.CreateCollectionResponse:
        """Create an empty collection."""
        collections, key = self._runtime.collections, _named(request.name)
        await self._runtime.workers.run(
            CallKind.WRITE, context, lambda stop: collections.create(key), tenant_of(key)
        )
        return collection_pb2.CreateCollectionResponse()

    async def DropCollection(
        self, request: collection_pb2.DropCollectionRequest, context: Context
    ) -> collection_pb2.DropCollectionResponse:
        """Delete a collection with its documents."""
        collections, key = self._runtime.collections, _named(request.name)
        await self._runtime.workers.run(
            CallKind.WRITE, context, lambda stop: collections.drop(key), tenant_of(key)
        )
        self._runtime.responses.forget(key)
        return collection_pb2.DropCollectionResponse()

    async def ListCollections(
        self, request: collection_pb2.ListCollectionsRequest, context: Context
    ) -> collection_pb2.ListCollectionsResponse:
        """List the collections that the caller may name."""
        size = request.page_size if request.HasField("page_size") else MOST_LISTED
        if not 1 <= size <= MOST_LISTED:
            raise invalid("page_size", f"is {size}; choose a number from 1 to {MOST_LISTED:,}")
        collections, caller = self._runtime.collections, CALL.get().caller
        states = await self._runtime.workers.run(
            CallKind.READ, context, lambda stop: collections.states(_tenant(caller))
        )
        prefix = f"{caller.access.tenant}/" if caller.access.tenant else ""
        found = [
            collection_pb2.Collection(
                name=state.key.removeprefix(prefix),
                loaded=state.loaded,
                droppable=state.droppable,
            )
            for state in states
            if state.key.removeprefix(prefix) > request.page_token
        ]
        more = found[size - 1].name if len(found) > size else ""
        return collection_pb2.ListCollectionsResponse(
            collections=found[:size], next_page_token=more
        )


def _named(name: str) -> str:
    if not name:
        raise invalid("name", f"is empty; name the collection, such as {DEFAULT!r}")
    return key_of(name, CALL.get().caller)


def _tenant(caller: Caller) -> str | None:
    """Return the tenant whose collections a caller may name; None for those of every tenant."""
    everyone = not caller.access.tenant and Scope.ADMIN in caller.scopes
    return None if everyone else caller.access.tenant
