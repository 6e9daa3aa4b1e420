"""Messages of errors as clients get them."""

from __future__ import annotations

import re

from expertrag.api.errors import ExpertRAGError

_MESSAGE_BYTES = 1_000
"""gRPC refuses trailing metadata of more than 8 KiB, which have the message three times."""
_PATH = re.compile(r"(?:\bunix:|(?<![\w.:/]))(?:/[\w.+@~-]+){2,}/?")


def message_of(error: ExpertRAGError) -> str:
    """Return the message for a client: of limited length, without paths of the server.

    What the request itself said (INVALID_ARGUMENT) is not searched for paths.
    """
    message = error.message
    if error.code != "INVALID_ARGUMENT":
        message = without_paths(message)
    return cut(message, _MESSAGE_BYTES)


def without_paths(text: str) -> str:
    """Return a text for clients, without paths of the server."""
    return _PATH.sub("(a path of the server)", text)


def cut(text: str, most_bytes: int) -> str:
    """Return a text of at most ``most_bytes`` in UTF-8, and an ellipsis if it was longer."""
    data = text.encode()
    return text if len(data) <= most_bytes else data[:most_bytes].decode(errors="ignore") + "…"
