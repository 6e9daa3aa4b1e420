"""Bearer tokens in a file that holds only their hashes.

    ert_ID_SECRET

``ID`` names the token in lists, logs and quotas; ``SECRET`` has 256 random bits, so that a plain
SHA-256 of it is safe to keep. The file is JSON, replaced atomically, and readable by its owner
alone. A running server follows its changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from expertrag.api.access import EVERYTHING, Access
from expertrag.api.errors import Conflict, InvalidArgument, NotFound
from expertrag.api.types import GateMode
from expertrag.api.validation import check_labels
from expertrag.auth.caller import Caller, Scope, check_access, check_tenant, parse_scopes
from expertrag.auth.quota import Quota
from expertrag.runtime.files import file_state

PREFIX = "ert"
FORMAT = 1
MOST_NAME = 100

_TOKEN = re.compile(rf"{PREFIX}_([a-z0-9]{{10}})_([A-Za-z0-9_-]{{43}})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_MODE = 0o600
_POLL_S = 1.0
"""Seconds between two checks of the file: how long a revoked token may still be accepted."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the file holds it, without its secret; ``expires`` None means never.

    ``mode`` applies to requests that name no mode; None for the collection's, or the server's.
    """

    id: str
    name: str
    digest: str
    scopes: frozenset[Scope]
    access: Access = EVERYTHING
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    expires: datetime | None = None
    quota: Quota = field(default_factory=Quota)
    mode: GateMode | None = None

    @property
    def is_expired(self) -> bool:
        """Whether it is no longer accepted."""
        return self.expires is not None and self.expires <= datetime.now(UTC)

    @property
    def caller(self) -> Caller:
        """Who calls with it."""
        return Caller(f"token:{self.id}", self.scopes, self.access, self.quota, self.mode)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made, and its text, which is kept nowhere."""

    token: Token
    text: str


class TokenFile:
    """The file of tokens, for the commands that change it."""

    def __init__(self, path: Path) -> None:
        """Use the file at ``path``; the first token creates it."""
        self.path = path

    def tokens(self) -> tuple[Token, ...]:
        """Return all tokens, oldest first; none if there is no file.

        :raises Conflict: the file is damaged, or readable by others.
        """
        return read_tokens(self.path)

    def create(
        self,
        name: str,
        scopes: frozenset[Scope],
        *,
        access: Access = EVERYTHING,
        lifetime: timedelta | None = None,
        quota: Quota | None = None,
        mode: GateMode | None = None,
    ) -> NewToken:
        """Add a token.

        :param mode: of requests that name no mode; None for the collection's, or the server's.
        :raises InvalidArgument: a name, tenant, label or scope is invalid.
        """
        _check(name, access)
        check_access(scopes, access)
        new = _new(name, scopes, access, lifetime, quota or Quota(), mode)
        with self._changing() as tokens:
            tokens.append(new.token)
        return new

    def rotate(self, token_id: str, *, grace: timedelta) -> NewToken:
        """Add a token like this one; the old one expires after ``grace``.

        :raises NotFound: there is no such token.
        """
        with self._changing() as tokens:
            index = _find_index(tokens, token_id, self.path)
            old = tokens[index]
            lifetime = old.expires - old.created if old.expires else None
            new = _new(old.name, old.scopes, old.access, lifetime, old.quota, old.mode)
            ends = datetime.now(UTC) + grace
            tokens[index] = replace(old, expires=min(ends, old.expires) if old.expires else ends)
            tokens.append(new.token)
        return new

    def revoke(self, token_id: str) -> Token:
        """Remove a token; servers refuse it within a second.

        :raises NotFound: there is no such token.
        """
        with self._changing() as tokens:
            return tokens.pop(_find_index(tokens, token_id, self.path))

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """Lock the file, and replace it by what the block leaves in the list."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = list(read_tokens(self.path))
            yield tokens
            _write(self.path, tokens)
        finally:
            os.close(lock)


class ServedTokens:
    """The tokens that a server accepts: the tokens of a file, as it is now. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        :raises NotFound: there is none.
        :raises Conflict: it is damaged, or readable by others.
        """
        if not path.exists():
            raise NotFound(
                f"there is no token file {path}; make a token with "
                f"`expertrag tokens create NAME --tokens {path}`"
            )
        self._path = path
        self._lock = threading.Lock()
        self._looked = 0.0
        self._unusable = ""
        self._read()

    def caller(self, text: str) -> Caller | None:
        """Return who calls with a token; None if it is not, or no longer, accepted."""
        match = _TOKEN.fullmatch(text)
        if match is None:
            return None
        token = self._current().get(match[1])
        # The same work for an unknown id, so that the time does not tell which ids exist.
        expected = token.digest if token else "0" * 64
        right = hmac.compare_digest(_digest(match[2]), expected)
        return token.caller if token and right and not token.is_expired else None

    def _current(self) -> Mapping[str, Token]:
        with self._lock:
            if time.monotonic() - self._looked >= _POLL_S:
                self._looked = time.monotonic()
                if file_state(self._path) != self._stamp:
                    self._follow()
            return self._tokens

    def _follow(self) -> None:
        """Read the file again; one that cannot be used changes nothing, a deleted one revokes all.

        It is logged: until it is repaired, revoked tokens are accepted.
        """
        try:
            self._read()
            self._unusable = ""
        except Conflict as error:
            if error.message != self._unusable:
                self._unusable = error.message
                _log_unusable(error.message)

    def _read(self) -> None:
        stamp = file_state(self._path)
        tokens = {token.id: token for token in read_tokens(self._path)}
        self._tokens, self._stamp, self._looked = tokens, stamp, time.monotonic()


def _log_unusable(why: str) -> None:
    import structlog  # of a server; `expertrag tokens` needs no extra

    log = structlog.get_logger("expertrag.service")
    log.error("the changed token file cannot be used", reason=why)


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read a token file; none if it does not exist.

    :raises Conflict: it is damaged, or others than its owner can read it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise Conflict(f"the token file {path} cannot be read ({error})") from None
    if mode & 0o077:
        raise Conflict(f"others can read the token file {path}: run chmod 600 {path}")
    try:
        stored = json.loads(text)
        if stored["format"] != FORMAT:
            raise Conflict(f"the token file {path} is of another version of expertrag: upgrade")
        return tuple(_parse(item) for item in stored["tokens"])
    except (ValueError, KeyError, TypeError, AttributeError, InvalidArgument) as error:
        raise Conflict(
            f"the token file {path} is damaged ({error}); restore it, or delete it and make new "
            "tokens"
        ) from None


def _new(
    name: str,
    scopes: frozenset[Scope],
    access: Access,
    lifetime: timedelta | None,
    quota: Quota,
    mode: GateMode | None,
) -> NewToken:
    token_id = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    secret = secrets.token_urlsafe(32)
    now = datetime.now(UTC).replace(microsecond=0)
    expires = now + lifetime if lifetime else None
    token = Token(token_id, name, _digest(secret), scopes, access, now, expires, quota, mode)
    return NewToken(token, f"{PREFIX}_{token_id}_{secret}")


def _check(name: str, access: Access) -> None:
    if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
        raise InvalidArgument(f"name: give 1 to {MOST_NAME} printable characters")
    check_tenant(access.tenant)
    check_labels(sorted(access.labels or ()))


def _find_index(tokens: list[Token], token_id: str, path: Path) -> int:
    for index, token in enumerate(tokens):
        if token.id == token_id:
            return index
    raise NotFound(f"no token {token_id!r} in {path}; see `expertrag tokens list`")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(path: Path, tokens: list[Token]) -> None:
    text = json.dumps({"format": FORMAT, "tokens": [_dump(token) for token in tokens]}, indent=2)
    from expertrag_common.durable import write_durably

    write_durably(path, f"{text}\n".encode(), mode=_MODE)


def _dump(token: Token) -> dict[str, Any]:
    labels = token.access.labels
    return {
        "id": token.id,
        "name": token.name,
        "sha256": token.digest,
        "scopes": sorted(token.scopes),
        "tenant": token.access.tenant,
        "labels": None if labels is None else sorted(labels),
        "created": token.created.isoformat(),
        "expires": token.expires.isoformat() if token.expires else None,
        "quota": token.quota.dump(),
        "mode": token.mode,
    }


def _parse(item: Mapping[str, Any]) -> Token:
    labels = item["labels"]
    access = Access(str(item["tenant"]), None if labels is None else frozenset(map(str, labels)))
    expires, mode = item["expires"], item.get("mode")  # tokens of older versions have none
    return Token(
        id=str(item["id"]),
        name=str(item["name"]),
        digest=str(item["sha256"]),
        scopes=parse_scopes(item["scopes"]),
        access=access,
        created=datetime.fromisoformat(item["created"]),
        expires=datetime.fromisoformat(expires) if expires else None,
        quota=Quota.parse(item["quota"]),
        mode=GateMode(mode) if mode else None,
    )
