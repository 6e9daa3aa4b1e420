from __future__ import annotations

import pytest

from expertrag_index.sources.redact import redact

TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0In0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:secret@example.com/a?page=2#top", "https://example.com/a?page=2"),
        ("https://example.com/a?token=x&page=2", "https://example.com/a?token=***&page=2"),
        ("https://e.com/?access_token=x", "https://e.com/?access_token=***"),
        ("https://e.com/?accessToken=x", "https://e.com/?accessToken=***"),
        ("https://e.com/?X-Amz-Signature=ab", "https://e.com/?X-Amz-Signature=***"),
        ("https://e.com/?X-Amz-Credential=ab", "https://e.com/?X-Amz-Credential=***"),
        ("https://e.com/?api-key=x&apikey=y", "https://e.com/?api-key=***&apikey=***"),
        ("https://e.com/?sig=x&key=y", "https://e.com/?sig=***&key=***"),
        (f"https://e.com/?id={TOKEN}", "https://e.com/?id=***"),
        (f"https://e.com/?{TOKEN}", "https://e.com/?***"),
        ("https://e.com/?keyboard=de&monkey=1", "https://e.com/?keyboard=de&monkey=1"),
        ("s3://key:secret@bucket/notes", "s3://bucket/notes"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert redact(url) == shown
