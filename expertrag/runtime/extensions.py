"""What other distributions add to this one, by entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from expertrag.api.errors import MissingExtra
from expertrag_common.extras import lab_command

COMMANDS = "expertrag.commands"
"""Commands of ``expertrag``, named by their path joined by dots: ``eval``, ``gate.calibrate``."""
FEATURES = "expertrag.features"
"""Functions that a setting of the service needs, named by its key: ``lab.expert_patterns``."""


def names_of(group: str) -> frozenset[str]:
    """Return the names of the entry points of a group."""
    return frozenset(entry_points(group=group).names)


def load_extension(group: str, name: str) -> Any | None:
    """Load an entry point; None if no installed distribution has it."""
    for entry_point in entry_points(group=group, name=name):
        return entry_point.load()
    return None


def load_feature(setting: str) -> Any:
    """Load the function that a setting needs, by the key of the setting.

    :raises MissingExtra: the lab is not installed.
    """
    feature = load_extension(FEATURES, setting)
    if feature is None:
        raise MissingExtra(f"{setting}: needs the lab; run: {lab_command()}")
    return feature
