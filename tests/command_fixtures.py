"""Run the command line, in this process or in its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Ran, Run
from logging_helper import logging_restored
from sources_helper import Site

DOCUMENTS = Path(__file__).parent / "data" / "documents"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``expertrag`` in this process, where the libraries stay loaded."""

    def invoke(*arguments: str | Path) -> Ran:
        from expertrag.cli.main import main

        monkeypatch.setattr(sys, "argv", ["expertrag", *map(str, arguments)])
        capfd.readouterr()
        with logging_restored(), pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, out, err)

    return invoke


@pytest.fixture
def spawn() -> Run:
    """Run ``expertrag`` as a process without a terminal."""

    def start(*arguments: str | Path, env: dict[str, str] | None = None, **options: Any) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "expertrag", *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=120,
            check=False,
            **options,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture(scope="session")
def documents() -> Path:
    """Sample files of every format."""
    return DOCUMENTS


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, minilm_path: Path) -> Path:
    """A store over the manual, built by the command line; do not change it."""
    from expertrag.cli.main import main

    store = tmp_path_factory.mktemp("cli") / "store"
    command = ["expertrag", "index", "build", str(DOCUMENTS), "--out", str(store)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", command)
        main()
    assert ended.value.code == 0
    return store


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback."""
    server = Site()
    yield server
    server.close()
