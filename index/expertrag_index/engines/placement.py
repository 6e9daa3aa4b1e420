"""Where the next generation has its vectors."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from expertrag_index.engines.address import choose_engine
from expertrag_index.store.manifest import EngineEntry, Manifest


@dataclass(frozen=True, slots=True)
class Placement:
    """``engine``: None for segments in the folder; ``moved``: it holds none of the chunks yet."""

    engine: EngineEntry | None = None
    moved: bool = False


IN_FOLDER = Placement()


def placement(
    wanted: str | None, previous: Manifest | None, connection: sqlite3.Connection
) -> Placement:
    """Return where the vectors are to be (see ``WriterSettings.vectors``).

    :raises EngineError: the address is not valid.
    """
    current = previous.engine if previous else None
    engine = choose_engine(wanted, current, connection)
    return Placement(engine, moved=engine != current)
