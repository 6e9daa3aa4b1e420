"""``POST /v1/embeddings``."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from expertrag.api.embed import Role
from expertrag.api.validation import MAX_BATCH
from expertrag.client.aclient import AsyncClient
from expertrag.serving.http.body import read_body
from expertrag.serving.http.hangup import unless_hung_up
from expertrag.serving.http.openai.model_names import NamedModel, naming_model
from expertrag.serving.http.openai.unserved import EMBEDDINGS, check_unserved, refuse
from expertrag.serving.http.state import HttpState

MAX_INPUTS = 2_048
"""Texts of a request, as in OpenAI's API; they are embedded ``MAX_BATCH`` at a time."""


class EmbeddingsRequest(BaseModel):
    """Texts to encode; ``input_type`` is an extension that other servers also have."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[object] = Field(min_length=1)
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    input_type: Literal["query", "document"] | None = None

    def texts(self) -> list[str]:
        """Return the texts.

        :raises InvalidArgument: they are tokens, or too many.
        """
        if isinstance(self.input, str):
            return [self.input]
        texts = [text for text in self.input if isinstance(text, str)]
        refuse("input", len(texts) < len(self.input), "has numbers of tokens; send texts")
        refuse("input", len(texts) > MAX_INPUTS, f"has {len(texts)} texts; send {MAX_INPUTS:,}")
        return texts


async def embeddings(request: Request) -> Response:
    """Encode texts."""
    asked = await read_body(request, EmbeddingsRequest)
    texts = asked.texts()
    notices = check_unserved(asked.model_extra or {}, EMBEDDINGS)
    client = HttpState.of(request).client(request, NamedModel.of(asked.model).collection)
    async with naming_model(asked.model, client):
        work = _embed(client, texts, asked.input_type or "document")
        vectors, tokens = await unless_hung_up(request, work)
    other = asked.dimensions not in (None, len(vectors[0]))
    refuse("dimensions", other, f"only {len(vectors[0])} is supported; leave it out")
    encode = _base64 if asked.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": place, "embedding": encode(vector)}
        for place, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": data, "model": asked.model, "usage": usage}
    if notices:
        body["expertrag"] = {"notices": notices}
    # a million floats take the standard library's encoder half a second of the event loop
    return Response(to_json(body), media_type="application/json")


async def _embed(
    client: AsyncClient, texts: Sequence[str], role: Role
) -> tuple[list[list[float]], int]:
    """Return the vectors of texts, and the number of tokens that were read."""
    vectors: list[list[float]] = []
    tokens = 0
    for start in range(0, len(texts), MAX_BATCH):
        batch = await client.embeddings(texts[start : start + MAX_BATCH], role=role)
        vectors += batch.vectors
        tokens += batch.tokens
    return vectors, tokens


def _base64(vector: Sequence[float]) -> str:
    """Return little-endian float32 numbers, as OpenAI's clients read them."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
