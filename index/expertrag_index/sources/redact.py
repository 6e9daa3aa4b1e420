"""Removes credentials from URLs, for ids, logs and messages."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

_SECRET = re.compile(
    r"(?i)(^|[-_.])(auth|authorization|code|credential|jwt|key|pass|passwd|password|pwd|secret|sid"
    r"|sig|signature|token)s?($|[-_.])|api-?key|access-?key|token$|secret$|password$|signature$"
)
_LONG = re.compile(r"[A-Za-z0-9+/=_.~-]{32,}")
HIDDEN = "***"


def redact(url: str) -> str:
    """Return a URL without user, password and fragment, and with ``***`` for secrets in its query.

    A secret is a parameter named like one, or whose value is 32 characters or more of one word.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(map(_redact_parameter, filter(None, parts.query.split("&"))))
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def _redact_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    plain = parse_qsl(parameter, keep_blank_values=True)
    if not plain:
        return parameter
    decoded, value = plain[0]
    secret = bool(equals) and bool(_SECRET.search(decoded) or _LONG.fullmatch(value))
    if not equals and _LONG.fullmatch(decoded):
        return HIDDEN
    return f"{name}={quote(HIDDEN, safe='*')}" if secret else parameter
