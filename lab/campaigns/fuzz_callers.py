"""The callers of a fuzz: two tenants with secrets, and everyone who must not see these."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import fuzz_messages
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from expertrag.api.access import Access
from expertrag.api.types import DocumentInput
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client

TENANTS = {"acme": "zirconcanary", "globex": "obsidiancanary"}
"""Tenants, each with a word that is in its documents alone."""
HIDDEN = "rubycanary"
"""A word of documents with the label ``board``."""
EVERYTHING = frozenset(Scope)
NOTHING: frozenset[Scope] = frozenset()


@dataclass(frozen=True, slots=True)
class FuzzCaller:
    """Someone who calls; ``scopes`` are what the server has to allow.

    ``wrong``: the token is damaged anew for each call. ``sees``: canaries that it may be shown.
    """

    name: str
    weight: int
    authorization: str | None
    scopes: frozenset[Scope] = NOTHING
    sees: Sequence[str] = ()
    wrong: bool = False

    def header(self, rng: random.Random) -> fuzz_messages.Metadata:
        """Return the metadata that says who calls."""
        if self.authorization is None:
            return []
        if self.wrong:
            text = fuzz_messages.wrong_authorization(self.authorization, rng)
            return [("authorization", text)]
        return [("authorization", f"Bearer {self.authorization}")]

    @property
    def forbidden(self) -> list[bytes]:
        """Canaries that no response to it may hold."""
        return [word.encode() for word in (*TENANTS.values(), HIDDEN) if word not in self.sees]


@dataclass(frozen=True, slots=True)
class FuzzAccess:
    """The tokens of a server: its configuration, its callers, and the tenants' clients."""

    auth: Mapping[str, str]
    callers: Sequence[FuzzCaller]
    tokens: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, work: Path) -> FuzzAccess:
        """Make a file of tokens and a key for JSON Web Tokens, with all kinds of callers."""
        file = TokenFile(work / "tokens.json")
        key, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in "ab")
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (work / "keys.pem").write_bytes(public)

        def token(scopes: frozenset[Scope], access: Access, **more: Any) -> str:
            return file.create("fuzz", scopes, access=access, **more).text

        acme, globex = TENANTS.values()
        tokens = {tenant: token(EVERYTHING, Access(tenant)) for tenant in TENANTS}
        read = frozenset({Scope.READ})
        write = frozenset({Scope.WRITE})
        member = token(read, Access("acme", frozenset()))
        expired = token(EVERYTHING, Access("acme"), lifetime=timedelta(seconds=-1))
        revoked = file.create("fuzz", EVERYTHING, access=Access("acme"))
        file.revoke(revoked.token.id)
        signed = _jwt(key)
        callers = (
            FuzzCaller("tenant acme", 30, tokens["acme"], EVERYTHING, (acme, HIDDEN)),
            FuzzCaller("tenant globex", 30, tokens["globex"], EVERYTHING, (globex, HIDDEN)),
            FuzzCaller("acme without labels", 8, member, read, (acme,)),
            FuzzCaller("no tenant, read", 6, token(read, Access()), read),
            FuzzCaller("acme, write only", 5, token(write, Access("acme")), write),
            FuzzCaller("JWT of globex", 5, signed, read, (globex,)),
            FuzzCaller("no token", 2, None),
            FuzzCaller("expired token", 3, expired),
            FuzzCaller("revoked token", 2, revoked.text),
            FuzzCaller("expired JWT", 2, _jwt(key, exp=time.time() - 3600)),
            FuzzCaller("JWT of another key", 2, _jwt(other)),
            FuzzCaller("damaged token", 8, tokens["acme"], wrong=True),
            FuzzCaller("damaged JWT", 4, signed, wrong=True),
        )
        auth = {"tokens": str(file.path), "jwt_keys": str(work / "keys.pem")}
        return cls(auth, callers, tokens)

    def fill(self, address: str) -> None:
        """Give each tenant documents with its canary; those of both have the same ids."""
        for tenant, canary in TENANTS.items():
            with Client(address, token=self.tokens[tenant]) as client:
                client.create_collection("default")
                client.upsert(_documents(canary))


def _documents(canary: str) -> list[DocumentInput]:
    return [
        DocumentInput("equal", "A checkpoint writes all dirty pages to disk.", title="equal"),
        DocumentInput(
            "secret",
            f"The codename of the plan is {canary}, and {canary} is due in May.",
            title=f"{canary} plan",
            domain=f"{canary}domain",
            metadata={f"{canary}field": canary},
        ),
        DocumentInput("roses", "Roses are pruned in March, above a bud that faces outwards."),
        DocumentInput(
            "board",
            f"The board meets in the {HIDDEN} room about the codename {HIDDEN}.",
            title=f"{HIDDEN} minutes",
            metadata={f"{HIDDEN}field": HIDDEN},
            labels=["board"],
        ),
    ]


def _jwt(key: rsa.RSAPrivateKey, **changed: Any) -> str:
    claims = {
        "sub": "ada",
        "exp": time.time() + 86_400,
        "scope": "read",
        "tenant": "globex",
        "labels": [],
        **changed,
    }
    return jwt.encode(claims, key, "RS256")
