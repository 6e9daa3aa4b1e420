"""LangChain's standard tests (package ``langchain-tests``) of the adapters.

The texts come from the small model, in a server on the loopback. Flags are false where a thing is
out of scope: tools, images, audio, files, another model for one call, recorded HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import ChatModelIntegrationTests, RetrieversIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel, Field
from serving_fixtures import Background, collections_of

from expertrag.api.types import GateMode
from expertrag.client import Client
from expertrag.integrations.langchain import ExpertRAGChatModel, ExpertRAGRetriever

CLIENTS: dict[str, Any] = {}
"""The clients of the module's server; the suites read parameters from properties, not fixtures."""


@pytest.fixture(scope="module", autouse=True)
def clients(
    background: Background, built_store: Path, embedder: Any, reader_path: Path
) -> Iterator[None]:
    from expertrag.answer.assemble import open_generator, reading_of
    from expertrag.answer.pipeline import Pipeline
    from expertrag.answer.pipeline_models import PipelineModels
    from expertrag.config import Config, ModelConfig, ServiceConfig
    from expertrag.serving.server import Server

    model = ModelConfig(generator=str(reader_path), dtype="int8")
    generator = open_generator(model)
    models = PipelineModels(embedder, generator, reading_of(model, generator))
    with closing(Pipeline(built_store, models)) as pipeline:
        config = Config(service=ServiceConfig(address="127.0.0.1:0"))

        async def start() -> Server:
            server = Server(config, lambda: collections_of(pipeline))
            await server.start()
            await server.wait_loaded()
            return server

        server = background.run(start())
        with Client(server.address) as client:
            CLIENTS["client"] = client
            yield
            CLIENTS.clear()
        background.run(server.stop())


class Settings:
    """Shared by the two suites of the chat model."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ExpertRAGChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**CLIENTS, "mode": "never"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return False


class TestChatModelUnit(Settings, ChatModelUnitTests):
    """Initialization, parameters and structured output without a call."""


class TestChatModel(Settings, ChatModelIntegrationTests):
    """Calls, streams, conversations, usage, structured output."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "max_tokens": 160, "frequency_penalty": 1.5}

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:  # type: ignore[override]
        return {"invoke": ["cache_read_input"], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        model = self.chat_model_class(**{**self.chat_model_params, "max_tokens": 4})
        asked = "Name the colours of the rainbow, from the inside to the outside. " * 4
        model.invoke(asked)
        if not stream:
            return model.invoke(asked)
        first, *rest = model.stream(asked)
        for chunk in rest:
            first += chunk
        return first


class TestRetriever(RetrieversIntegrationTests):
    """Searches and their number of results."""

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return ExpertRAGRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return dict(CLIENTS)

    @property
    def retriever_query_example(self) -> str:
        return "When are roses pruned?"


class Plant(BaseModel):
    """A plant, and when it is pruned."""

    name: str = Field(max_length=12)
    month: Literal["March", "August"]


class Garden(BaseModel):
    """Plants of a garden."""

    plants: list[Plant] = Field(min_length=2, max_length=2)


def test_an_answer_from_the_documents_has_the_structure() -> None:
    """Definitions, limits and enumerations of a class reach the decoder."""
    model = ExpertRAGChatModel(**CLIENTS, mode=GateMode.ALWAYS, k=2)
    asked = "When are roses and apple trees pruned?"
    garden = model.with_structured_output(Garden).invoke(asked)
    assert isinstance(garden, Garden)
    *growing, whole = model.with_structured_output(Garden.model_json_schema()).stream(asked)
    assert growing and whole == garden.model_dump()
