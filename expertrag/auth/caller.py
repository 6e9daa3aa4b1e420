"""A caller: its name, scopes, tenant, access labels and quota."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from expertrag.api.access import EVERYTHING, Access
from expertrag.api.errors import InvalidArgument, PermissionDenied
from expertrag.api.types import GateMode
from expertrag.api.validation import NAME
from expertrag.auth.quota import Quota


class Scope(StrEnum):
    """What a caller may do; none includes another."""

    READ = "read"
    """Ask, search, embed, describe, and report feedback on the caller's own answers."""
    WRITE = "write"
    """Add and delete documents."""
    ADMIN = "admin"
    """Create and drop collections, and read the audit log."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call. ``id`` is stable and unique: answers and quotas belong to it.

    ``mode`` applies to requests that name no mode; None for the collection's, or the server's.
    """

    id: str
    scopes: frozenset[Scope] = ALL_SCOPES
    access: Access = EVERYTHING
    quota: Quota = field(default_factory=Quota)
    mode: GateMode | None = None

    @property
    def identity(self) -> str:
        """``id``; empty for a caller without a token or a certificate."""
        return "" if self.id == LOCAL.id else self.id

    def require(self, scope: Scope) -> None:
        """Check a scope.

        :raises PermissionDenied: if the caller lacks it.
        """
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise PermissionDenied(
                f"this call needs the scope {scope}; the token has {has}",
                reason="SCOPE_MISSING",
                metadata={"scope": scope},
            )


LOCAL = Caller("local")
"""Every caller of a server that asks for no token."""


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes with these names.

    :raises InvalidArgument: if there is none, or an unknown one.
    """
    names = list(names)
    unknown = [name for name in names if name not in list(Scope)]
    if unknown or not names:
        what = f"unknown scope {unknown[0]!r}" if unknown else "no scope"
        raise InvalidArgument(f"{what}; choose from {', '.join(Scope)}", reason="INVALID_SCOPE")
    return frozenset(map(Scope, names))


def check_tenant(tenant: str) -> None:
    """Reject a tenant that cannot have collections; empty is none.

    :raises InvalidArgument: it is not a name.
    """
    if tenant and not NAME.fullmatch(tenant):
        raise InvalidArgument(
            f"tenant: {tenant!r:.80} must be 1 to 63 lower-case letters, digits, - and _",
            reason="INVALID_FIELD",
            metadata={"field": "tenant"},
        )


def check_access(scopes: frozenset[Scope], access: Access) -> None:
    """Reject a writer that does not see all documents of its collections.

    Otherwise it could overwrite a document that it does not see, or learn that an id is taken.

    :raises InvalidArgument: if it may write and its labels are restricted.
    """
    if access.labels is not None and scopes & {Scope.WRITE, Scope.ADMIN}:
        raise InvalidArgument(
            "a caller that may write or administer must see all documents: give it the labels '*'",
            reason="INVALID_SCOPE",
        )
