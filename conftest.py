"""Fixtures shared by all tests: the package-carried models, pulled once into the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from expertrag.runtime.threads import share_cores

if TYPE_CHECKING:
    from expertrag_retriever.base import Embedder
    from expertrag_retriever.encoder import SentenceTransformerEmbedder

_LAB = Path(__file__).parent / "lab"

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("EXPERTRAG_MODEL_GENERATOR", "smollm2-135m-reader")  # not what memory allows
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
share_cores()  # before torch and faiss are loaded, as the command line does

# generated cases are the same in every run; HYPOTHESIS_PROFILE=random looks for new ones
settings.register_profile("same", derandomize=True)
settings.register_profile("random", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

pytest_plugins = [
    "reranker_fixtures",
    "serving_fixtures",
    "table_fixtures",
    "http_fixtures",
    "lora_fixtures",
    "encoder_fixtures",
    "audit_fixtures",
    "command_fixtures",
    "model_fixtures",
    "router_fixtures",
    "tracing_fixtures",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the lab."""
    for item in items:
        if item.path.is_relative_to(_LAB):
            item.add_marker("lab")


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """Folder of all-MiniLM-L6-v2."""
    from expertrag import models

    return Path(models.ensure("all-minilm-l6-v2"))


@pytest.fixture(scope="session")
def smollm_path() -> Path:
    """Folder of SmolLM2-135M-Instruct, upcycled to a Mixtral-format MoE."""
    from expertrag import models

    return Path(models.ensure("smollm2-135m-instruct-moe"))


@pytest.fixture(scope="session")
def reader_path() -> Path:
    """Folder of the small generator: the same, trained as a reader."""
    from expertrag import models

    return Path(models.ensure("smollm2-135m-reader"))


@pytest.fixture(scope="session")
def embedder(minilm_path: Path) -> SentenceTransformerEmbedder:
    """The MiniLM embedder, loaded once."""
    from expertrag_retriever.encoder import load_embedder

    return load_embedder(str(minilm_path))


@pytest.fixture(scope="session")
def shipped(minilm_path: Path) -> Embedder:
    """The embedder of new stores: MiniLM with the shipped experts."""
    from expertrag.config import ModelConfig
    from expertrag.stores.embedders import open_embedder

    return open_embedder(ModelConfig(), None)
