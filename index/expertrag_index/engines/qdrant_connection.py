"""Connections to Qdrant: over HTTP to a server, or to a folder that the client itself searches."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from json import JSONDecodeError
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import httpx
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from expertrag_index.errors import EngineError, IndexStoreError

API_KEY = "EXPERTRAG_QDRANT_API_KEY"
"""The environment variable with the key of a server."""

TIMEOUT_S = 10
"""Longest wait for an answer."""

WRITE_TIMEOUT_S = 120
"""The same for a change, which may be one of many rows."""

_OLDEST_SERVER = (1, 12)  # the first that counts by a field
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_folders: dict[Path, QdrantConnection] = {}
_lock = threading.Lock()


class QdrantConnection:
    """A client of Qdrant whose every error is an ``EngineError``. Thread-safe."""

    def __init__(self, client: QdrantClient, url: str, *, local: bool) -> None:
        self._client = client
        self._url = url
        self.local = local
        # the client does not protect a folder that it searches itself
        self._one: AbstractContextManager[object] = threading.RLock() if local else nullcontext()

    @contextmanager
    def use(self) -> Iterator[QdrantClient]:
        """Yield the client.

        :raises EngineError: what is done with it fails.
        """
        with _errors(self._url), self._one:
            yield self._client


def connect(url: str) -> QdrantConnection:
    """Connect to the engine of an address.

    :raises EngineError: it cannot be reached or is too old, or the address is not valid.
    """
    if urlsplit(url).scheme == "qdrant":
        return _open_folder(url)
    return _reach_server(url)


def _open_folder(url: str) -> QdrantConnection:
    """Open a folder, once in this process: the client locks it."""
    parts = urlsplit(url)
    folder = Path(unquote(parts.path))
    if parts.netloc or parts.query or not folder.is_absolute():
        raise EngineError(f"{url} names no folder: use qdrant:/FOLDER#NAME, or qdrant+https://")
    folder = folder.resolve()
    with _lock:
        if folder not in _folders:
            with _errors(url):
                client = QdrantClient(path=str(folder), force_disable_check_same_thread=True)
            atexit.register(client.close)  # when modules are gone, it can no longer release it
            _folders[folder] = QdrantConnection(client, str(folder), local=True)
        return _folders[folder]


def _reach_server(url: str) -> QdrantConnection:
    parts = urlsplit(url)
    if not parts.hostname or parts.query or "@" in parts.netloc or not _has_port(parts):
        raise EngineError(f"{url} names no server: use qdrant+https://HOST:PORT#NAME")
    address = urlunsplit(parts._replace(scheme=parts.scheme.removeprefix("qdrant+"), fragment=""))
    key = _api_key()
    if key and parts.scheme == "qdrant+http" and parts.hostname not in _LOOPBACK:
        raise EngineError(f"{API_KEY} would be sent in plain text: use qdrant+https, or unset it")
    with _errors(address):
        client = QdrantClient(
            url=address,
            timeout=TIMEOUT_S,
            check_compatibility=False,
            headers={"api-key": key} if key else None,
        )
    connection = QdrantConnection(client, address, local=False)
    with connection.use():
        version = client.info().version
    if _numbers(version) < _OLDEST_SERVER:
        raise EngineError(f"{address} is Qdrant {version}: update it to 1.12 or newer")
    return connection


def _has_port(parts: SplitResult) -> bool:
    """Whether the port is one, or left out: 6333."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _api_key() -> str:
    key = os.environ.get(API_KEY, "").strip()
    if not (key.isascii() and key.isprintable()):  # an HTTP header cannot hold it
        raise EngineError(f"{API_KEY} holds characters that no key has: set it again")
    return key


def _numbers(version: str) -> tuple[int, int]:
    """Return major and minor version; high ones for a version without numbers."""
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (99, 0)


@contextmanager
def _errors(place: str) -> Iterator[None]:
    try:
        yield
    except IndexStoreError:
        raise
    except Exception as error:  # the client raises what httpx, pydantic, SQLite or pickle do
        raise EngineError(f"Qdrant at {place} {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say in one line what is wrong and what to do."""
    if isinstance(error, ResourceExhaustedResponse):
        return f"has too much to do: try again in {error.retry_after_s} s"
    if isinstance(error, UnexpectedResponse):
        if error.status_code in (401, 403):
            return f"refuses the API key: set {API_KEY} to one that may read and write"
        return f"refuses with status {error.status_code}: {_one_line(_read_reason(error))}"
    if isinstance(error, ResponseHandlingException):
        if isinstance(error.source, httpx.TimeoutException):
            return "does not answer in time: see that it runs and is not overloaded, and try again"
        if isinstance(error.source, httpx.TransportError):
            said = _one_line(str(error.source))
            return f"cannot be reached ({said}): see that it runs, and that the address is right"
    if isinstance(error, ResponseHandlingException | JSONDecodeError):
        return "answers with something else than Qdrant's API: see that the address is right"
    if "already accessed" in str(error):
        return (
            "is open in another process: use it from one at a time, or a server, with "
            "qdrant+http://HOST:PORT#NAME"
        )
    return f"fails: {_one_line(str(error)) or type(error).__name__}"


def _read_reason(error: UnexpectedResponse) -> str:
    try:
        return str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):  # not from Qdrant, but from a proxy
        return error.reason_phrase


def _one_line(said: str) -> str:
    return f"{' '.join(said.split()):.300}"
