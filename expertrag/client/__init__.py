"""The SDK: ``Client`` and ``AsyncClient``, over gRPC or in process."""

from expertrag.client.aclient import AsyncClient
from expertrag.client.client import Client
from expertrag.client.requests import AnswerOptions

__all__ = ["AnswerOptions", "AsyncClient", "Client"]
