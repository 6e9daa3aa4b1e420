"""Ids of answers that show which caller got the answer, so that nothing has to be stored.

An id is 64 random bits, and 64 bits of an HMAC over these and the caller, as 32 hex digits. The key
is next to the audit log, so that feedback can be given after a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from expertrag.api.errors import InvalidArgument

_KEY_BYTES = 32
_MODE = 0o600


class AnswerIds:
    """Makes and checks ids. Thread-safe."""

    def __init__(self, log: Path | None) -> None:
        """Use the key next to ``log``, made at the first answer; without a log, a new one."""
        self._path = log.with_name(f"{log.name}.key") if log else None
        self._known = b"" if log else secrets.token_bytes(_KEY_BYTES)

    def check(self) -> None:
        """Read the key, if there is one yet.

        :raises InvalidArgument: it is damaged.
        """
        if self._path is not None and self._path.exists():
            self._key()

    def new(self, caller: str) -> str:
        """Return a new id for an answer to a caller."""
        number = secrets.token_bytes(8)
        return (number + self._tag(number, caller)).hex()

    def belongs(self, answer_id: str, caller: str) -> bool:
        """Return whether an id was made for a caller."""
        data = bytes.fromhex(answer_id)
        return hmac.compare_digest(data[8:], self._tag(data[:8], caller))

    def _tag(self, number: bytes, caller: str) -> bytes:
        message = number + caller.encode()
        return hmac.digest(self._key(), message, hashlib.sha256)[:8]

    def _key(self) -> bytes:
        if not self._known and self._path is not None:
            self._known = _read_or_create(self._path)
        return self._known


def _read_or_create(path: Path) -> bytes:
    """Return the key of a file that several processes may create at the same time."""
    try:
        if not path.exists():
            temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, _MODE), "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            try:
                os.link(temporary, path)  # unlike a rename, keeps a key that appeared meanwhile
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        key = path.read_bytes()
    except OSError:
        return secrets.token_bytes(_KEY_BYTES)  # no error of the log may fail an answer
    if len(key) != _KEY_BYTES:
        raise InvalidArgument(f"audit.path: {path} is damaged; delete it")
    return key
