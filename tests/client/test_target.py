"""Parsing of targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.client import AsyncClient, Client
from expertrag.client.target import parse_target


@pytest.mark.parametrize(
    "text",
    [
        "localhost:50051",
        "10.0.0.7:1",
        "[::1]:50051",
        "rag.example.org:443",
        "unix:/run/s",
        "unix:s",
    ],
)
def test_addresses(text: str) -> None:
    assert parse_target(text) == text


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "localhost:50051").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("store", "./store", str(tmp_path / "store"), "~/store", Path("store")):
        store = parse_target(text)
        assert isinstance(store, Path)
        assert store.samefile(tmp_path / "store")
    # An address is one even if such a folder exists; a slash or a Path means the folder.
    assert parse_target("localhost:50051") == "localhost:50051"
    assert parse_target("./localhost:50051") == Path("./localhost:50051")
    assert parse_target(Path("localhost:50051")) == Path("localhost:50051")


@pytest.mark.parametrize(
    "text", ["stoer", "./stoer", "localhost", "localhost:", "host:port", "unix:"]
)
def test_a_missing_folder_names_both_kinds_of_target(text: str) -> None:
    with pytest.raises(NotFound, match=r"neither an address .* nor the folder") as caught:
        parse_target(text)
    assert "\n" not in caught.value.message
    assert caught.value.reason == "TARGET_NOT_FOUND"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_both_clients_parse_at_once(kind: type[Client] | type[AsyncClient]) -> None:
    with pytest.raises(NotFound):
        kind("stoer")
    with pytest.raises(InvalidArgument, match="empty"):
        kind(" ")
