"""JSON Web Tokens of an identity provider (OpenID Connect), checked with its public keys.

    sub     who calls                        scope   "read write", separated by spaces
    tenant  the caller's tenant, if any      labels  access labels, ["*"] for all; none if missing
    exp     required; aud and iss are compared where they are configured

Only asymmetric algorithms are accepted, so that a public key never serves as a shared secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag.api.access import Access
from expertrag.api.errors import InvalidArgument, MissingExtra, Unauthenticated
from expertrag.api.validation import check_labels, invalid
from expertrag.auth.caller import Caller, Scope, check_access, check_tenant
from expertrag_common.extras import install_command

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_LEEWAY_S = 30


class JwtVerifier:
    """Checks signatures with the keys of one file. Thread-safe."""

    def __init__(self, path: Path, *, issuer: str = "", audience: str = "") -> None:
        """Read a public key (PEM), or a JSON Web Key Set.

        :param issuer: required ``iss``; empty for any.
        :param audience: required ``aud``; empty for any.
        :raises MissingExtra: the package ``pyjwt`` is not installed.
        :raises InvalidArgument: the file holds no usable public key.
        """
        try:
            import jwt
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "checking JSON Web Tokens needs the package pyjwt; "
                f"run: {install_command('server', 'oidc')}",
                reason="MISSING_EXTRA",
            ) from error
        self._jwt = jwt
        self._issuer, self._audience = issuer, audience
        self._keys = self._read(path)

    def caller(self, text: str) -> Caller | None:
        """Return who calls with a token; None if it is not valid here.

        :raises Unauthenticated: the provider signed it, but its claims cannot be used.
        """
        try:
            key, algorithms = self._key_of(text)
            claims: dict[str, Any] = self._jwt.decode(
                text,
                key,
                algorithms=algorithms,
                issuer=self._issuer or None,
                audience=self._audience or None,
                leeway=_LEEWAY_S,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": bool(self._audience),
                    "verify_iss": bool(self._issuer),
                },
            )
        except (self._jwt.PyJWTError, ArithmeticError, ValueError, TypeError, KeyError):
            return None
        except RecursionError:  # a header of nested lists
            return None
        try:
            return _caller(claims)
        except InvalidArgument as error:
            raise Unauthenticated(
                f"the token's claims cannot be used: {error.message}", reason="TOKEN_REFUSED"
            ) from None

    def _key_of(self, text: str) -> tuple[Any, list[str]]:
        header = self._jwt.get_unverified_header(text)
        key = self._keys[header["kid"] if len(self._keys) > 1 else next(iter(self._keys))]
        if isinstance(key, str):
            return key, list(ALGORITHMS)
        name = key.algorithm_name
        return key.key, [name] if name in ALGORITHMS else []

    def _read(self, path: Path) -> Mapping[str, PyJWK | str]:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(path, str(error)) from None
        if text.lstrip().startswith("-----BEGIN"):
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            try:
                load_pem_public_key(text.encode())
            except ValueError:
                raise _unusable(path, "it is not a public key") from None
            return {"": text}
        try:
            keys = self._jwt.PyJWKSet.from_dict(json.loads(text)).keys
        except (self._jwt.PyJWTError, ValueError, AttributeError, TypeError) as error:
            raise _unusable(path, str(error)) from None
        return {key.key_id or "": key for key in keys}


def _caller(claims: Mapping[str, Any]) -> Caller:
    """Return who calls, by claims that the provider signed.

    :raises InvalidArgument: a claim has a wrong type or value, or they contradict each other.
    """
    present = {name: value for name, value in claims.items() if value is not None}
    labels, tenant = present.get("labels", []), present.get("tenant", "")
    scope, subject = present.get("scope", ""), present.get("sub", "")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise invalid("labels", "must be a list of strings")
    for name, value in (("tenant", tenant), ("scope", scope), ("sub", subject)):
        if not isinstance(value, str):
            raise invalid(name, "must be a string")
    if not subject:
        raise invalid("sub", "is empty")
    check_tenant(tenant)
    if "*" not in labels:
        check_labels(labels)
    # The claim may also name scopes of other services.
    names = scope.split()
    scopes = frozenset(scope for scope in Scope if scope in names)
    access = Access(tenant, None if "*" in labels else frozenset(labels))
    check_access(scopes, access)
    return Caller(f"jwt:{tenant}:{subject}", scopes, access)


def _unusable(path: Path, why: str) -> InvalidArgument:
    return InvalidArgument(
        f"auth.jwt_keys: {path} holds no public key ({why}); give a PEM file, or the JSON Web Key "
        "Set of the identity provider",
        reason="INVALID_CONFIG",
        metadata={"field": "auth.jwt_keys"},
    )
