"""The places for vectors that a store is tested with, each in turn."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from engine_places import Engine, InFolder, InPostgres, Place
from postgres_server import Postgres, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


ENGINES = ("postgresql",)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return InPostgres(request.getfixturevalue("postgres"), f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture(params=("faiss", *ENGINES))
def place(request: pytest.FixtureRequest) -> Place:
    """Each place in turn."""
    if request.param == "faiss":
        return InFolder()
    return InPostgres(request.getfixturevalue("postgres"), f"t{uuid.uuid4().hex[:12]}")
