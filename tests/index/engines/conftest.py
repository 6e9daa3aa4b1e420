"""The places for vectors that a store is tested with, each in turn."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_places import Engine, InFolder, InPostgres, InQdrant, Place
from postgres_server import Postgres, postgres_server
from qdrant_server import edge_server

from expertrag_index.engines.qdrant_connection import connect


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: Qdrant's client commits every point to the disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def qdrant_server(memory: Path) -> Iterator[str]:
    """The address of Qdrant's engine behind HTTP, or of the server that is to be tested with."""
    if given := os.environ.get("EXPERTRAG_TEST_QDRANT"):
        yield f"qdrant+{given}"
        with connect(f"qdrant+{given}#t").use() as client:
            for each in client.get_collections().collections:
                if re.fullmatch(r"expertrag_t[0-9a-f]{12}_\d+", each.name):
                    client.delete_collection(each.name)
    else:
        with edge_server(memory / "server") as server:
            yield f"qdrant+{server.url}"


ENGINES = ("postgresql", "qdrant server", "qdrant folder")


def engine_of(request: pytest.FixtureRequest) -> Engine:
    """Return a new place in the engine that a test is run with."""
    name = f"t{uuid.uuid4().hex[:12]}"
    if request.param == "postgresql":
        return InPostgres(request.getfixturevalue("postgres"), name)
    if request.param == "qdrant folder":
        return InQdrant(f"qdrant:{request.getfixturevalue('memory')}/{name}#{name}")
    return InQdrant(f"{request.getfixturevalue('qdrant_server')}#{name}")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return engine_of(request)


@pytest.fixture(params=("faiss", *ENGINES))
def place(request: pytest.FixtureRequest) -> Place:
    """Each place in turn."""
    if request.param == "faiss":
        return InFolder()
    return engine_of(request)
