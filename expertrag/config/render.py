"""Render a configuration as TOML that :func:`load` reads back, with the origin of every value."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import groupby

from expertrag.config.loading import Loaded
from expertrag.config.schema import settings
from expertrag.config.setting import Setting


def render(loaded: Loaded) -> str:
    """Return the effective configuration; a comment on each line names the value's origin."""
    lines: list[str] = []
    for section, members in groupby(settings(), key=lambda setting: setting.section):
        if section:
            lines += ["", f"[{section}]"]
        part = getattr(loaded.config, section) if section else loaded.config
        for setting in members:
            value = getattr(part, setting.name)
            lines.append(_line(setting, value, loaded.origins.get(setting.key, "default")))
    return "\n".join(lines) + "\n"


def _line(setting: Setting, value: object, origin: str) -> str:
    if value is None:  # TOML has no null: an unset value is a comment
        return f"# {setting.name} =  # {origin}"
    # JSON strings, numbers and booleans are valid TOML, except DEL, which TOML requires escaped.
    literal = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"{setting.name} = {literal}  # {' '.join(origin.split())}"


def table(flagged: Collection[str]) -> str:
    """Return the table of the page config.md: every key with its flag, variable and default.

    :param flagged: keys that some command has a flag for; the others are set by ``--set``.
    """
    rows = [
        "| key | flag | environment | default | allowed | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for setting in settings():
        default = "unset" if setting.default in (None, "") else f"`{_plain(setting.default)}`"
        flag = setting.flag if setting.key in flagged else "--set"
        rows.append(
            f"| `{setting.key}` | `{flag}` | `{setting.env}` | {default} "
            f"| {setting.limits} | {setting.help} |"
        )
    return "\n".join(rows) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
