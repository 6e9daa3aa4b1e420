"""Commands that other distributions add, by entry points."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from command_line import Run

from expertrag.api.errors import MissingExtra
from expertrag.cli import extensions
from expertrag.cli.extensions import LAB_COMMANDS
from expertrag.runtime.extensions import COMMANDS, load_feature


@pytest.fixture
def without_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find no entry point of another distribution."""
    monkeypatch.setattr(extensions, "load_extension", lambda _group, _name: None)
    monkeypatch.setattr(extensions, "names_of", lambda _group: frozenset())


def test_the_commands_of_the_lab_are_its_entry_points() -> None:
    assert entry_points(group=COMMANDS).names == LAB_COMMANDS


def test_an_added_command_runs_and_is_listed(run: Run) -> None:
    assert "calibrate" in run("gate", "--help").out
    assert "Recalibrate a gate" in run("gate", "calibrate", "--help").out


@pytest.mark.usefixtures("without_lab")
@pytest.mark.parametrize("path", sorted(LAB_COMMANDS))
def test_a_command_of_the_lab_says_what_to_install(run: Run, path: str) -> None:
    name = path.replace(".", " ")
    run(*name.split(), "x").fails(
        2, f"`expertrag {name}` is a command of the lab; run: pip install"
    )


@pytest.mark.usefixtures("without_lab")
def test_help_without_the_lab_has_the_commands_of_the_service(run: Run) -> None:
    listed = run("gate", "--help").out
    assert "explain" in listed and "calibrate" not in listed
    run("gate", "no-such").fails(2, "No such command")


def test_a_feature_that_nobody_adds_says_what_to_install() -> None:
    with pytest.raises(MissingExtra, match=r"no_such: needs the lab; run: pip install"):
        load_feature("no_such")
