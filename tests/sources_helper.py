"""Shared by the tests of sources: notes, a store in step with them, and a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from store_helper import HashingEmbedder

from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders import ReadLimits
from expertrag_index.sources.base import DocumentSource
from expertrag_index.sources.folder import FolderSource
from expertrag_index.sources.step import Stepper, StepReport
from expertrag_index.store.index import Index

LIMITS = ReadLimits()


class StoreInStep:
    """A store, its embedder, and steps that keep it in step."""

    def __init__(self, root: Path) -> None:
        self.store = root / "store"
        self.embedder = HashingEmbedder()
        self.stepper = Stepper(self.store, self.writer)

    def writer(self) -> IndexWriter:
        return IndexWriter.open(self.store, self.embedder)

    def folder(
        self, path: Path, *, limits: ReadLimits = LIMITS, **patterns: list[str]
    ) -> FolderSource:
        return FolderSource(path, limits, store=self.store, **patterns)

    def step(self, *sources: DocumentSource) -> StepReport:
        return self.stepper.apply(self.stepper.plan(sources))

    @property
    def texts(self) -> dict[str, str]:
        return texts_of(self.store)


def texts_of(store: Path) -> dict[str, str]:
    """The text of every document of a store, by id."""
    with Index.open(store) as opened:
        ids = [document.id for _, document in opened.catalog.documents(limit=1_000)]
        return {name: opened.document_text(name).strip() for name in ids}


def write_notes(folder: Path, **texts: str) -> Path:
    """Write files NAME.md."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return folder


@dataclass
class Page:
    """What the server answers: ``chunks`` are sent one by one, ``pause_s`` apart."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Sequence[bytes] = ()
    pause_s: float = 0.0


class Site:
    """A server on loopback with pages that a test changes, and the requests it got."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                site.answer(self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.stopping = threading.Event()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(handler.path.partition("?")[0], Page(status=404))
        tag = page.headers.get("ETag")
        same = bool(tag) and handler.headers.get("If-None-Match") == tag
        body = b"".join(page.chunks) or page.body
        handler.send_response(304 if same else page.status)
        for name, value in page.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0" if same else str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        try:
            for chunk in () if same else page.chunks or (page.body,):
                handler.wfile.write(chunk)
                handler.wfile.flush()
                self.stopping.wait(page.pause_s)
        except OSError:
            pass  # the client has seen enough

    def close(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
