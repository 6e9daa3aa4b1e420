"""Where a store has its vectors in tests: segments in its folder, or an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from postgres_server import Postgres

from expertrag_index.settings import WriterSettings


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
