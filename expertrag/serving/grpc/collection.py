"""CollectionService: create, drop and list collections."""

from __future__ import annotations

from expertrag.serving.core.operations.collections import (
    MOST_LISTED,
    create_collection,
    drop_collection,
    list_collections,
)
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import collection_pb2
from expertrag.v1.collection_pb2_grpc import CollectionServiceServicer
from expertrag.wire.common import message_of


class CollectionService(Servicer, CollectionServiceServicer):
    """Manages the collections that a caller may name."""

    async def CreateCollection(
        self, request: collection_pb2.CreateCollectionRequest, context: Context
    ) -> collection_pb2.CreateCollectionResponse:
        """Create an empty collection."""
        await create_collection(self._runtime, call_of(request.name))
        return collection_pb2.CreateCollectionResponse()

    async def DropCollection(
        self, request: collection_pb2.DropCollectionRequest, context: Context
    ) -> collection_pb2.DropCollectionResponse:
        """Delete a collection with its documents."""
        await drop_collection(self._runtime, call_of(request.name))
        return collection_pb2.DropCollectionResponse()

    async def ListCollections(
        self, request: collection_pb2.ListCollectionsRequest, context: Context
    ) -> collection_pb2.ListCollectionsResponse:
        """List the collections that the caller may name."""
        size = request.page_size if request.HasField("page_size") else MOST_LISTED
        page, more = await list_collections(self._runtime, call_of(), size, request.page_token)
        return collection_pb2.ListCollectionsResponse(
            collections=[message_of(collection_pb2.Collection, each) for each in page],
            next_page_token=more,
        )
