"""Finds out who calls, from the metadata of a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import Unauthenticated
from expertrag.auth.caller import LOCAL, Caller
from expertrag.auth.quota import Quota
from expertrag.auth.token_file import ServedTokens

if TYPE_CHECKING:
    from expertrag.auth.jwt import JwtVerifier

KEY = "authorization"
_SCHEME = "bearer "
_MOST_BYTES = 8 * 1024


class Authenticator:
    """Accepts the tokens of a file and the JSON Web Tokens of a provider, where they are set."""

    def __init__(
        self,
        tokens: Path | None = None,
        jwt: JwtVerifier | None = None,
        quota: Quota | None = None,
    ) -> None:
        """Read the tokens.

        :param tokens: file of tokens; None accepts none.
        :param quota: of callers without one of their own.
        """
        self._tokens = ServedTokens(tokens) if tokens else None
        self._jwt = jwt
        self._quota = quota or Quota()

    @property
    def open(self) -> bool:
        """Whether calls need no token."""
        return self._tokens is None and self._jwt is None

    def caller(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Caller:
        """Return who makes a call.

        :raises Unauthenticated: if the token is missing or not accepted.
        """
        if self.open:
            return replace(LOCAL, quota=self._quota)
        text = _bearer(metadata)
        if text is None:
            raise Unauthenticated(
                "this server needs a token: set EXPERTRAG_TOKEN, or pass token= to Client",
                reason="TOKEN_MISSING",
            )
        caller = self._tokens.caller(text) if self._tokens else None
        if caller is None and self._jwt is not None:
            caller = self._jwt.caller(text)
        if caller is None:
            raise Unauthenticated(
                "the token is not accepted: it is wrong, expired or revoked",
                reason="TOKEN_REFUSED",
            )
        return caller if caller.quota != Quota() else replace(caller, quota=self._quota)

    def name_caller(self, caller: Caller, peer: Mapping[str, Iterable[bytes]] | None) -> Caller:
        """Return a caller without a token under the name in its certificate, if it has one.

        :param peer: gRPC's ``auth_context``.
        """
        name = _certificate(peer) if self.open else ""
        return replace(caller, id=name) if name else caller


def _bearer(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    for key, value in metadata or ():
        if key != KEY or not isinstance(value, str) or len(value) > _MOST_BYTES:
            continue
        if value[: len(_SCHEME)].lower() == _SCHEME:
            return value[len(_SCHEME) :].strip()
    return None


def _certificate(peer: Mapping[str, Iterable[bytes]] | None) -> str:
    """Return the name in a client's verified certificate; empty without one."""
    for name in (peer or {}).get("x509_common_name", ()):
        return f"certificate:{name.decode(errors='replace')}"
    return ""
