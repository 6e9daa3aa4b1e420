"""The options of ``expertrag index build`` that say where texts are embedded."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run

from expertrag.cli import build_engine
from expertrag_common.extras import install_command


def test_workers_are_for_ray(run: Run, documents: Path, tmp_path: Path) -> None:
    build = ("index", "build", documents, "--out", tmp_path / "store")
    run(*build, "--workers", "2").fails(2, "--workers is for workers on Ray: add --engine ray")
    run(*build, "--ray-address", "head:6379").fails(2, "--ray-address", "add --engine ray")
    assert not (tmp_path / "store").exists()


def test_without_its_extra_it_says_how_to_install_it(
    run: Run, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_engine, "PACKAGE", "no_such_package")
    ran = run("index", "build", documents, "--out", tmp_path / "store", "--engine", "ray")
    ran.fails(9, install_command("server", "ray"))
    assert not (tmp_path / "store").exists()
