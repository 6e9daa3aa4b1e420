"""Where a store has its vectors in tests: segments in its folder, or an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from postgres_server import Postgres
from qdrant_client import models

from expertrag_index.build.settings import WriterSettings
from expertrag_index.engines.address import name_of
from expertrag_index.engines.qdrant_connection import connect
from expertrag_index.store.manifest import EngineEntry


class Place(Protocol):
    """A place for vectors, new for each test."""

    @property
    def vectors(self) -> str:
        """What ``WriterSettings.vectors`` says."""
        ...


class Engine(Place, Protocol):
    """An engine, whose rows can be damaged; files of segments have checksums."""

    def lose(self, key: int) -> None:
        """Delete a chunk behind the program's back."""
        ...

    def turn(self, key: int) -> None:
        """Replace the vector of a chunk by its opposite."""
        ...


def settings(place: Place) -> WriterSettings:
    """Return the settings of a writer with its vectors in this place."""
    return WriterSettings(vectors=place.vectors)


@dataclass(frozen=True)
class InFolder:
    """FAISS segments, the default."""

    vectors: str = "faiss"


@dataclass(frozen=True)
class InPostgres:
    """A schema of a real server."""

    server: Postgres
    name: str

    @property
    def vectors(self) -> str:
        return self.server.url(self.name)

    def lose(self, key: int) -> None:
        self.server.sql(f"DELETE FROM expertrag_{self.name}.chunks_32 WHERE key = {key}")

    def turn(self, key: int) -> None:
        table = f"expertrag_{self.name}.chunks_32"
        self.server.sql(
            f"""UPDATE {table} SET embedding = (SELECT ('[' || string_agg((-x)::text, ',') || ']')
            FROM unnest(embedding::vector::real[]) AS x)::halfvec WHERE key = {key}"""
        )


@dataclass(frozen=True)
class InQdrant:
    """A collection of a server, or in a folder that the client searches."""

    vectors: str

    @property
    def collection(self) -> str:
        return f"expertrag_{name_of(EngineEntry(self.vectors, ''))}_32"

    def lose(self, key: int) -> None:
        with connect(self.vectors).use() as client:
            client.delete(self.collection, [key])

    def turn(self, key: int) -> None:
        with connect(self.vectors).use() as client:
            (point,) = client.retrieve(self.collection, [key], with_vectors=True)
            assert isinstance(point.vector, list)
            turned = [-float(value) for value in point.vector]  # type: ignore[arg-type]
            client.update_vectors(self.collection, [models.PointVectors(id=key, vector=turned)])
