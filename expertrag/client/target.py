"""Targets of a client: a server's address or a store's folder.

unix:PATH                       gRPC over a Unix socket
HOST:PORT                       gRPC; HOST has no slash, PORT is a number
HOST:PORT,HOST:PORT             several servers of the same store; each call goes to the next one
a Path, or text with a slash    a store, served in process
anything else                   a store, if such a folder exists
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from expertrag.api.errors import InvalidArgument, NotFound

_SERVER = r"(?:\[[0-9A-Fa-f:.]+\]|[^/\\:,\s]+):\d{1,5}"
_ADDRESS = re.compile(rf"unix:.+|{_SERVER}(?:,{_SERVER})*", re.DOTALL)


def is_address(text: str) -> bool:
    """Return whether a text is the address of a server."""
    return bool(_ADDRESS.fullmatch(text))


def parse_target(target: str | os.PathLike[str]) -> str | Path:
    """Return the address for gRPC as a string, or the folder of a store in process as a path.

    :raises NotFound: if it is not an address and no such folder exists.
    :raises InvalidArgument: if it is empty.
    """
    text = os.fspath(target)
    if not text.strip():
        raise InvalidArgument(
            "the target is empty; give HOST:PORT, unix:PATH or the folder of a store",
            reason="INVALID_TARGET",
            metadata={"field": "target"},
        )
    if isinstance(target, str) and is_address(text):
        return text
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise NotFound(
            f"{text!r} is neither an address (HOST:PORT, unix:PATH) nor the folder of a store; "
            "correct it, or build the store with: expertrag index build DOCS --out STORE",
            reason="TARGET_NOT_FOUND",
        )
    return folder
