"""The services of ``expertrag.v1``, with the generated function that adds each to a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from expertrag.serving.core.runtime import Runtime
from expertrag.serving.grpc.adapter import AdapterService
from expertrag.serving.grpc.answer import AnswerService
from expertrag.serving.grpc.audit import AuditService
from expertrag.serving.grpc.collection import CollectionService
from expertrag.serving.grpc.document import DocumentService
from expertrag.serving.grpc.embed import EmbedService
from expertrag.serving.grpc.gate import GateService
from expertrag.serving.grpc.index import IndexService
from expertrag.serving.grpc.info import InfoService
from expertrag.serving.grpc.rerank import RerankService
from expertrag.serving.grpc.retrieve import RetrieveService
from expertrag.v1 import (
    adapter_pb2_grpc,
    answer_pb2_grpc,
    audit_pb2_grpc,
    collection_pb2_grpc,
    document_pb2_grpc,
    embed_pb2_grpc,
    gate_pb2_grpc,
    index_pb2_grpc,
    info_pb2_grpc,
    rerank_pb2_grpc,
    retrieve_pb2_grpc,
)

HEALTH = "grpc.health.v1.Health"
REFLECTION_VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


SERVICES: dict[Callable[[Runtime], Any], Callable[[Any, grpc.aio.Server], None]] = {
    AnswerService: answer_pb2_grpc.add_AnswerServiceServicer_to_server,
    RetrieveService: retrieve_pb2_grpc.add_RetrieveServiceServicer_to_server,
    GateService: gate_pb2_grpc.add_GateServiceServicer_to_server,
    EmbedService: embed_pb2_grpc.add_EmbedServiceServicer_to_server,
    RerankService: rerank_pb2_grpc.add_RerankServiceServicer_to_server,
    DocumentService: document_pb2_grpc.add_DocumentServiceServicer_to_server,
    IndexService: index_pb2_grpc.add_IndexServiceServicer_to_server,
    CollectionService: collection_pb2_grpc.add_CollectionServiceServicer_to_server,
    AdapterService: adapter_pb2_grpc.add_AdapterServiceServicer_to_server,
    AuditService: audit_pb2_grpc.add_AuditServiceServicer_to_server,
    InfoService: info_pb2_grpc.add_InfoServiceServicer_to_server,
}
NAMES = tuple(f"expertrag.v1.{servicer.__name__}" for servicer in SERVICES)


def add_reflection(server: grpc.aio.Server) -> None:
    """Let callers list the services, under both names of the reflection protocol.

    grpcio-reflection has only v1alpha; v1 has the same messages in another package.
    """
    names = [f"{version}.ServerReflection" for version in REFLECTION_VERSIONS]
    servicer = ReflectionServicer([*NAMES, HEALTH, *names])
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in names:
        handlers = {"ServerReflectionInfo": method}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers)])
        server.add_registered_method_handlers(name, handlers)  # see ``grpc_server``
