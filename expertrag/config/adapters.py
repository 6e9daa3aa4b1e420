"""The setting ``model.adapters``: names and folders in one line."""

from __future__ import annotations

from pathlib import Path

from expertrag.config.setting import invalid


def adapters_of(text: str) -> dict[str, Path]:
    """Return the folders of ``NAME=FOLDER,NAME=FOLDER`` by their names.

    :raises InvalidArgument: an entry is not NAME=FOLDER, or a name comes twice.
    """
    folders: dict[str, Path] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, equals, folder = entry.partition("=")
        if not (name and equals and folder):
            raise invalid("model.adapters", f"{entry!r} is not NAME=FOLDER")
        if name in folders:
            raise invalid("model.adapters", f"{name!r} is named twice; give each its own name")
        folders[name] = Path(folder)
    return folders
