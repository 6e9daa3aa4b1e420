"""Reads the keys of other servers from the environment, or from files that it names."""

from __future__ import annotations

import os
from pathlib import Path


class ApiKeyError(Exception):
    """The file that a variable names cannot be read; the message says what to do."""


def read_api_key(variable: str) -> str:
    """Return the key in an environment variable, or in the file that ``VARIABLE_FILE`` names.

    Empty if neither is set.

    :raises ApiKeyError: the file cannot be read, or the key cannot be sent.
    """
    key = (os.environ.get(variable) or _read_file(variable)).strip()
    if not key.isascii() or not key.isprintable():
        raise ApiKeyError(f"{variable} holds characters that no key has: set it again")
    return key


def _read_file(variable: str) -> str:
    path = os.environ.get(f"{variable}_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ApiKeyError(
            f"cannot read the file of {variable}_FILE ({type(error).__name__}): correct its path"
        ) from None
