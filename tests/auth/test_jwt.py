"""JSON Web Tokens: who calls, and everything that is refused."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from expertrag.api.access import Access
from expertrag.api.errors import InvalidArgument, Unauthenticated
from expertrag.auth import Scope
from expertrag.auth.jwt import JwtVerifier

ISSUER, AUDIENCE = "https://login.example", "expertrag"


def pem(key: Any) -> bytes:
    found: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def verifier(key: rsa.RSAPrivateKey, tmp_path: Path) -> JwtVerifier:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(key))
    return JwtVerifier(path, issuer=ISSUER, audience=AUDIENCE)


def claims(**changed: Any) -> dict[str, Any]:
    made = {
        "sub": "ada",
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": time.time() + 60,
        "scope": "openid read",
        "tenant": "acme",
        "labels": ["hr"],
        **changed,
    }
    return {name: value for name, value in made.items() if value is not None}


def test_claims_say_who_calls(verifier: JwtVerifier, key: rsa.RSAPrivateKey) -> None:
    caller = verifier.caller(jwt.encode(claims(), key, "RS256"))
    assert caller is not None
    assert caller.id == "jwt:acme:ada"
    assert caller.scopes == {Scope.READ}
    assert caller.access == Access("acme", frozenset({"hr"}))
    everything = verifier.caller(
        jwt.encode(claims(labels=["*"], scope="read write", tenant=None), key, "RS256")
    )
    assert everything is not None
    assert everything.access == Access()
    unlabelled = verifier.caller(jwt.encode(claims(labels=None), key, "RS256"))
    assert unlabelled is not None
    assert unlabelled.access.labels == frozenset()


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"iss": "https://else.example"},
        {"aud": "other"},
        {"aud": None},
        {"nbf": 1e11},
    ],
)
def test_wrong_claims_are_refused(
    verifier: JwtVerifier, key: rsa.RSAPrivateKey, changed: dict[str, Any]
) -> None:
    assert verifier.caller(jwt.encode(claims(**changed), key, "RS256")) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": "hr"}, "labels: must be a list of strings"),
        ({"labels": [7]}, "labels: must be a list of strings"),
        ({"labels": ["*", {}]}, "labels: must be a list of strings"),
        ({"labels": ["a b"]}, "labels: holds 'a b'"),
        ({"tenant": 7}, "tenant: must be a string"),
        ({"tenant": False}, "tenant: must be a string"),
        ({"tenant": "acme/wiki"}, "tenant: 'acme/wiki' must be"),
        ({"tenant": ".."}, "tenant: '..' must be"),
        ({"scope": ["read"]}, "scope: must be a string"),
        ({"scope": {"a": "x read y"}}, "scope: must be a string"),
        ({"sub": ""}, "sub: is empty"),
        ({"scope": "write", "labels": ["hr"]}, "labels '\\*'"),
    ],
)
def test_claims_that_cannot_be_used_are_named(
    verifier: JwtVerifier, key: rsa.RSAPrivateKey, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(Unauthenticated, match=message):
        verifier.caller(jwt.encode(claims(**changed), key, "RS256"))


def test_claims_that_are_null_are_missing(verifier: JwtVerifier, key: rsa.RSAPrivateKey) -> None:
    made = {**claims(), "tenant": None, "labels": None, "scope": None}
    caller = verifier.caller(jwt.encode(made, key, "RS256"))
    assert caller is not None
    assert (caller.scopes, caller.access) == (frozenset(), Access("", frozenset()))


def test_wrong_signatures_are_refused(verifier: JwtVerifier, key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert verifier.caller(jwt.encode(claims(), other, "RS256")) is None
    assert verifier.caller(jwt.encode(claims(), "", "none")) is None
    assert verifier.caller("a.b.c") is None
    assert verifier.caller("") is None
    # The public key as a shared secret: PyJWT itself refuses to make such a token.
    header, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT"}, claims())
    )
    import hashlib
    import hmac

    tag = hmac.digest(pem(key), header + b"." + body, hashlib.sha256)
    forged = b".".join([header, body, base64.urlsafe_b64encode(tag).rstrip(b"=")]).decode()
    assert verifier.caller(forged) is None


def test_a_key_set_chooses_by_key_id(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    keys = [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": "one"},
        {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key())), "kid": "two"},
    ]
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    verifier = JwtVerifier(path)
    assert verifier.caller(jwt.encode(claims(), key, "RS256", headers={"kid": "one"}))
    assert verifier.caller(jwt.encode(claims(), curve, "ES256", headers={"kid": "two"}))
    assert verifier.caller(jwt.encode(claims(), curve, "ES256", headers={"kid": "one"})) is None
    assert verifier.caller(jwt.encode(claims(), key, "RS256", headers={"kid": "three"})) is None
    assert verifier.caller(jwt.encode(claims(), key, "RS256")) is None


def test_a_file_without_a_public_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    for text in ("", "{}", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "[1]"):
        path.write_text(text)
        with pytest.raises(InvalidArgument, match="jwt_keys"):
            JwtVerifier(path)
    with pytest.raises(InvalidArgument, match="jwt_keys"):
        JwtVerifier(tmp_path / "missing")
