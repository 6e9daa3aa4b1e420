"""How optional packages are installed: the one place that names the command."""

from __future__ import annotations

import json
from functools import cache

_NAME = "expertrag"
_LAB = "expertrag-lab"


def install_command(*extras: str, option: str = "") -> str:
    """Return the command that installs extras, from where this package was installed.

    A checkout is installed from its folder: an index of packages may not have this package.

    :param option: of pip, such as "-U".
    """
    named = f"[{','.join(extras)}]" if extras else ""
    options, source, where = _source()
    parts = ("pip install", option, options, f"'{source}{named}'")
    return " ".join(filter(None, parts)) + where


def lab_command() -> str:
    """Return the command that installs the lab."""
    options, source, where = _source()
    return f"pip install {options} ./lab{where}" if source == "." else f"pip install {_LAB}"


@cache
def _source() -> tuple[str, str, str]:
    """Return pip's options, what it installs, and where; from the record of PEP 610."""
    from importlib import metadata  # slow to import

    try:
        record = json.loads(metadata.distribution(_NAME).read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:  # imported from a folder that nobody installed
        record = {"dir_info": {}}
    folder = record.get("dir_info")
    if folder is None:
        return "", _NAME, ""
    return "-e" if folder.get("editable") else "", ".", " in the checkout of expertrag"
