"""Settings on the command line: precedence, --print-config, wrong values."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from command_line import Run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("[service]\nqueue_depth = 1\nmetrics_port = 1\ndrain_s = 1\n", encoding="utf-8")
    return path


def test_flag_over_environment_over_file(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_CONFIG", str(file))
    monkeypatch.setenv("EXPERTRAG_SERVICE_METRICS_PORT", "2")
    monkeypatch.setenv("EXPERTRAG_SERVICE_DRAIN_S", "2")
    reflection = ("--set", "service.reflection=yes")
    ran = run("serve", "--drain-s", "3", *reflection, "--print-config")
    assert (ran.code, ran.err) == (0, "")
    service = tomllib.loads(ran.out)["service"]
    assert (service["queue_depth"], service["metrics_port"], service["drain_s"]) == (1, 2, 3.0)
    assert service["reflection"] is True
    assert f"queue_depth = 1  # file {file}" in ran.out
    assert "metrics_port = 2  # environment EXPERTRAG_SERVICE_METRICS_PORT" in ran.out
    assert "drain_s = 3.0  # flag --drain-s" in ran.out
    assert "max_concurrency = 8  # default" in ran.out


def test_a_default_given_as_a_flag_still_wins(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_SERVICE_ALLOW_WRITES", "1")
    ran = run("serve", "--config", file, "--queue-depth", 16, "--no-allow-writes", "--print-config")
    service = tomllib.loads(ran.out)["service"]
    assert (service["queue_depth"], service["allow_writes"]) == (16, False)
    run("serve", "--config", file.with_name("none.toml")).fails(4, "no configuration file")


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (("-k", "0"), {}, "search.k: is 0; choose 1 to 1000 (from flag -k)"),
        (("-k", "x"), {}, "Invalid value for '-k'"),
        ((), {"EXPERTRAG_SEARCH_K": "0"}, "(from environment EXPERTRAG_SEARCH_K)"),
    ],
)
def test_wrong_settings_end_with_2(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    environ: dict[str, str],
    message: str,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    run("ask", "?", *arguments).fails(2, message)


def test_two_collections_of_one_name_are_refused(run: Run) -> None:
    stores = ("--collection", "wiki=one", "--collection", "wiki=two")
    run("serve", *stores).fails(2, "'wiki' is named twice: one and two")
    stores = ("--collection", "wiki:auto=one", "--collection", "wiki:strict=two")
    run("serve", *stores).fails(2, "'wiki' is named twice: one and two")


def test_the_mode_of_a_collection(run: Run) -> None:
    wrong = "'wiki:often=one' has no mode 'often'; choose one of auto, never, always, strict"
    run("serve", "--collection", "wiki:often=one").fails(2, wrong)


def test_the_mode_of_a_token(run: Run, tmp_path: Path) -> None:
    file = ("--tokens", tmp_path / "tokens.json")
    run("tokens", "create", "plain", *file).ok()
    made = run("tokens", "create", "kiosk", "--mode", "strict", *file, "--json").json()
    assert made["mode"] == "strict"
    plain, kiosk = run("tokens", "list", *file).ok().out.splitlines()
    assert "mode" not in plain
    assert "  mode strict  " in kiosk
