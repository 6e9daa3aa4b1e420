"""Keys from the environment and from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag_common.api_keys import ApiKeyError, read_api_key

NAME = "EXPERTRAG_TEST_API_KEY"


def test_where_a_key_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_api_key(NAME) == ""
    (tmp_path / "key").write_text("sk-file\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "key"))
    assert read_api_key(NAME) == "sk-file"
    monkeypatch.setenv(NAME, "sk-variable")
    assert read_api_key(NAME) == "sk-variable"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_a_file_that_cannot_be_read(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "key"))
    with pytest.raises(ApiKeyError, match=f"cannot read the file of {NAME}_FILE"):
        read_api_key(NAME)


@pytest.mark.parametrize("key", ["sk-\u00e9", "sk-a\nX-Header: b"])
def test_a_key_that_cannot_be_sent(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, key)
    with pytest.raises(ApiKeyError, match="holds characters that no key has") as caught:
        read_api_key(NAME)
    assert "sk-" not in str(caught.value)
