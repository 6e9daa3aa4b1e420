"""What checks the tokens of a server's callers, as its configuration says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from expertrag.auth import Authenticator, Quota
from expertrag.config import Config


def authenticator_of(config: Config) -> Authenticator:
    """Return what checks the tokens that a configuration accepts.

    :raises NotFound: the token file does not exist.
    :raises InvalidArgument: the key file holds no public key.
    """
    auth = config.auth
    verifier = None
    if auth.jwt_keys:
        from expertrag.auth.jwt import JwtVerifier

        verifier = JwtVerifier(
            Path(auth.jwt_keys), issuer=auth.jwt_issuer, audience=auth.jwt_audience
        )
    tokens = Path(auth.tokens) if auth.tokens else None
    return Authenticator(tokens, verifier, Quota(**asdict(config.quota)))
