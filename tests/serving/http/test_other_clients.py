"""Clients of other Python projects, each in its own process, against a server with real models."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from http_fixtures import Served

SCRIPTS = Path(__file__).parent / "clients"
PYTHON = SCRIPTS.parents[3] / ".clients" / "bin" / "python"
INSTALLED = PYTHON.parents[1] / ".installed"
QUESTION = "When are roses pruned?"


@pytest.fixture
def python() -> Path:
    """The Python of an environment that has the clients, whose versions conflict with ours."""
    if not INSTALLED.exists():
        pytest.fail(
            f"the clients are not installed in {INSTALLED.parent}; run `make .clients/.installed`"
        )
    return PYTHON


@pytest.mark.parametrize("name", ["haystack", "litellm", "llama_index"])
def test_a_client(python: Path, name: str, served_with_models: Served) -> None:
    script = SCRIPTS / f"{name}_client.py"
    command = [str(python), str(script), served_with_models.url, QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
