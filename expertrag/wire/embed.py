"""Messages of ``embed.proto``."""

from __future__ import annotations

from expertrag.api.embed import Embeddings, EmbedRequest, Role
from expertrag.api.validation import invalid
from expertrag.v1 import embed_pb2
from expertrag.wire.common import fits_the_wire

_ROLES: dict[Role, embed_pb2.EmbedRole] = {
    "document": embed_pb2.EMBED_ROLE_DOCUMENT,
    "query": embed_pb2.EMBED_ROLE_QUERY,
}


def embed_to_proto(request: EmbedRequest) -> embed_pb2.EmbedRequest:
    """Return the message."""
    role = _ROLES[request.role]
    with fits_the_wire():
        return embed_pb2.EmbedRequest(texts=request.texts, role=role, domain=request.domain)


def embed_from_proto(request: embed_pb2.EmbedRequest) -> EmbedRequest:
    """Return the value."""
    roles: dict[int, Role] = {number: role for role, number in _ROLES.items()}
    roles[embed_pb2.EMBED_ROLE_UNSPECIFIED] = "document"
    if request.role not in roles:
        raise invalid("role", f"has the unknown number {request.role}; see the proto file")
    domain = request.domain if request.HasField("domain") else None
    return EmbedRequest(list(request.texts), roles[request.role], domain)


def embeddings_to_proto(embeddings: Embeddings) -> embed_pb2.EmbedResponse:
    """Return the response."""
    return embed_pb2.EmbedResponse(
        embeddings=[embed_pb2.Embedding(values=vector) for vector in embeddings.vectors],
        dimension=len(embeddings.vectors[0]) if embeddings.vectors else 0,
        model=embeddings.model,
        tokens=embeddings.tokens,
    )


def embeddings_from_proto(response: embed_pb2.EmbedResponse) -> Embeddings:
    """Return the value."""
    vectors = [list(embedding.values) for embedding in response.embeddings]
    return Embeddings(vectors, response.model, response.tokens)
