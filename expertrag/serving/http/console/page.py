"""The files of the console's page, served from memory."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FILES = Path(__file__).parent / "static"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Scripts, styles and calls of the same server alone; no text can become markup or a script."""

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page, as it is and compressed."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> PageFile:
        """Read a file."""
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        return cls(content, gzip.compress(content, mtime=0), _TYPES[path.suffix], etag)

    def response_to(self, request: Request) -> Response:
        """Return the response to a request; without a body if the caller has the file."""
        known = request.headers.get("if-none-match", "")
        headers = {**_HEADERS, "etag": self.etag}
        if self.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        content = self.content
        if "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["content-encoding"] = self.compressed, "gzip"
        return Response(content, headers=headers, media_type=self.media_type)


def page_files() -> Mapping[str, PageFile]:
    """Read the files that are served, by their paths."""
    return {
        path.relative_to(FILES).as_posix(): PageFile.read(path)
        for path in sorted(FILES.rglob("*"))
        if path.suffix in _TYPES
    }


def page_routes() -> list[Route]:
    """Return the routes of the page: itself at ``/``, its files under ``/console/``."""
    return [
        Route("/" if name == "index.html" else f"/console/{name}", _Handler(file).serve)
        for name, file in page_files().items()
    ]


@dataclass(frozen=True, slots=True)
class _Handler:
    file: PageFile

    async def serve(self, request: Request) -> Response:
        return self.file.response_to(request)
