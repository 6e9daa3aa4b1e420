"""A folder of notes, a store to keep in step with it, and a server with pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sources_helper import Site, StoreInStep, write_notes


@pytest.fixture
def kept(tmp_path: Path) -> StoreInStep:
    return StoreInStep(tmp_path)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "notes", a="About roses.", b="About tulips.", c="About oaks.")


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()
