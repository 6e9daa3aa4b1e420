"""Pages are fetched from a real server: versions, redirects, limits, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from sources_helper import LIMITS, Page, Site, StoreInStep

from expertrag_index.loaders.base import Unreadable
from expertrag_index.sources.addresses import refusal, refuse_none
from expertrag_index.sources.download import HttpPolicy, fetch
from expertrag_index.sources.page import PageSource
from expertrag_index.sources.scratch import Scratch

ALLOWED = HttpPolicy(refuse_none, page_s=5.0)
MOST = 1_000_000
HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    with Scratch() as folder:
        yield folder


def page(
    site: Site, scratch: Scratch, path: str = "/p", policy: HttpPolicy = ALLOWED
) -> PageSource:
    return PageSource(f"{site.url}{path}", LIMITS, policy, scratch, "web")


def html(text: str, tag: str = "") -> Page:
    headers = {**HTML, **({"ETag": tag} if tag else {})}
    return Page(f"<title>Terms</title><p>{text}</p>".encode(), headers=headers)


def test_a_page_is_read_again_only_if_it_changed(
    kept: StoreInStep, site: Site, scratch: Scratch
) -> None:
    site.pages["/p"] = html("Thirty days.", '"1"')
    source = page(site, scratch)
    assert kept.step(source).added == 1
    assert kept.texts == {f"{site.url}/p": "Thirty days."}

    report = kept.step(source)
    assert (report.read, report.unchanged) == ((), 1)
    assert site.requests[-1][1]["if-none-match"] == '"1"'

    site.pages["/p"] = html("Sixty days.", '"2"')
    assert kept.step(source).changed == 1
    assert kept.texts == {f"{site.url}/p": "Sixty days."}


def test_a_server_without_validators(kept: StoreInStep, site: Site, scratch: Scratch) -> None:
    site.pages["/p"] = html("Thirty days.")
    kept.step(page(site, scratch))
    assert kept.step(page(site, scratch)).read == ()


def test_an_unchanged_page_that_the_store_lost(
    kept: StoreInStep, site: Site, scratch: Scratch
) -> None:
    site.pages["/p"] = html("Thirty days.", '"1"')
    kept.step(page(site, scratch))
    with kept.writer() as writer:
        writer.delete([f"{site.url}/p"])
    assert kept.step(page(site, scratch)).added == 1


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_is_deleted_when_it_is_gone_twice(
    kept: StoreInStep, site: Site, scratch: Scratch, status: int
) -> None:
    site.pages["/p"] = html("Thirty days.", '"1"')
    kept.step(page(site, scratch))
    site.pages["/p"] = Page(status=status)
    report = kept.step(page(site, scratch))
    assert (report.removed, len(report.failures), len(kept.texts)) == (0, 1, 1)

    site.pages["/p"] = html("Thirty days.", '"1"')  # it was a mishap
    assert kept.step(page(site, scratch)).unchanged == 1

    site.pages["/p"] = Page(status=status)
    kept.step(page(site, scratch))
    report = kept.step(page(site, scratch))
    assert (report.removed, report.failures, kept.texts) == (1, (), {})


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_error_keeps_the_version_from_before(
    kept: StoreInStep, site: Site, scratch: Scratch, status: int
) -> None:
    site.pages["/p"] = html("Thirty days.")
    kept.step(page(site, scratch))
    site.pages["/p"] = Page(status=status)
    for _ in range(3):
        (failure,) = kept.step(page(site, scratch)).failures
        assert f"answers {status}" in failure.reason
    assert len(kept.texts) == 1


def test_a_server_that_is_away(kept: StoreInStep, scratch: Scratch) -> None:
    server = Site()
    server.pages["/p"] = html("Thirty days.")
    source = page(server, scratch)
    kept.step(source)
    server.close()
    (failure,) = kept.step(source).failures
    assert "the connection failed (ConnectError)" in failure.reason
    assert len(kept.texts) == 1


def test_up_to_five_redirects(site: Site) -> None:
    site.pages["/0"] = Page(b"here")
    for n in range(1, 7):
        site.pages[f"/{n}"] = Page(status=302, headers={"Location": f"/{n - 1}"})
    assert fetch(f"{site.url}/5", {}, ALLOWED, MOST).body == b"here"
    with pytest.raises(Unreadable, match="more than 5 redirects"):
        fetch(f"{site.url}/6", {}, ALLOWED, MOST)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.com/x", "gopher://x/", "//["]
)
def test_a_redirect_leads_only_to_http(site: Site, target: str) -> None:
    site.pages["/p"] = Page(status=301, headers={"Location": target})
    with pytest.raises(Unreadable, match="is not an http or https URL"):
        fetch(f"{site.url}/p", {}, ALLOWED, MOST)


def test_a_refused_address_is_not_connected_to(site: Site) -> None:
    with pytest.raises(Unreadable, match=r"at the loopback address .* which is refused"):
        fetch(f"{site.url}/p", {}, HttpPolicy(), MOST)
    assert site.requests == []


def test_every_redirect_is_checked_again(site: Site) -> None:
    """The first host counts as public, and redirects to one that is not."""
    policy = _NameServer({"public.example": [["127.0.0.1"]], "meta.example": [["169.254.169.254"]]})
    site.pages["/p"] = Page(
        status=302, headers={"Location": f"http://meta.example:{site.port}/latest"}
    )
    with pytest.raises(Unreadable, match=r"meta.example is at the link-local address 169.254"):
        fetch(f"http://public.example:{site.port}/p", {}, policy.trusting("127.0.0.1"), MOST)
    assert [path for path, _ in site.requests] == ["/p"]


def test_the_address_that_was_checked_is_the_one_connected_to(site: Site) -> None:
    """A name that resolves to another address the second time gets no second time."""
    names = _NameServer({"rebinding.example": [["127.0.0.1"], ["169.254.169.254"]]})
    site.pages["/p"] = Page(b"here")
    url = f"http://rebinding.example:{site.port}/p"
    assert fetch(url, {}, replace(ALLOWED, resolve=names.resolve), MOST).body == b"here"
    assert names.asked == ["rebinding.example"]
    assert site.requests[0][1]["host"] == f"rebinding.example:{site.port}"


class _NameServer:
    """A name server: each name's answers, one after the other."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def resolve(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers[host].pop(0)

    def trusting(self, address: str) -> HttpPolicy:
        """Return a policy for which this address counts as public."""
        return HttpPolicy(
            lambda other: "" if other == address else refusal(other), 5.0, self.resolve
        )


def test_https_checks_the_name_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pages.example").configure_cert(context)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    policy = replace(ALLOWED, resolve=lambda *_: ["127.0.0.1"])
    port = server.server_address[1]
    try:
        assert fetch(f"https://pages.example:{port}/", {}, policy, MOST).body == b"here"
        assert asked == ["pages.example"]
        with pytest.raises(Unreadable, match="ConnectError"):  # a certificate of another host
            fetch(f"https://other.example:{port}/", {}, policy, MOST)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_page_may_be_neither_too_large_nor_too_slow(site: Site) -> None:
    site.pages["/large"] = Page(b"x" * 2_000)
    with pytest.raises(Unreadable, match="larger than"):
        fetch(f"{site.url}/large", {}, ALLOWED, 1_000)
    site.pages["/slow"] = Page(chunks=[b"x"] * 100, pause_s=0.1)
    with pytest.raises(Unreadable, match=r"no whole answer within 0.3 s"):
        fetch(f"{site.url}/slow", {}, replace(ALLOWED, page_s=0.3), MOST)


def test_a_server_that_never_ends_its_headers() -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not ended.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(Unreadable, match=r"no whole answer within 0.4 s"):
                fetch(f"http://127.0.0.1:{port}/", {}, replace(ALLOWED, page_s=0.4), MOST)
        finally:
            ended.set()
            thread.join()


def test_a_packed_answer_is_not_unpacked(site: Site) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    site.pages["/p"] = Page(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(Unreadable, match="packs the page"):
        fetch(f"{site.url}/p", {}, ALLOWED, MOST)
    assert site.requests[0][1]["accept-encoding"] == "identity"


def test_a_user_and_password_go_to_their_host_only_and_into_no_id(
    kept: StoreInStep, site: Site, scratch: Scratch
) -> None:
    url = f"http://ann:opensesame@127.0.0.1:{site.port}"
    elsewhere = f"http://localhost:{site.port}/there"
    site.pages["/p"] = Page(status=302, headers={"Location": "/q"})
    site.pages["/q"] = Page(status=302, headers={"Location": elsewhere})
    site.pages["/there"] = html("Thirty days.")
    source = PageSource(f"{url}/p?api_key=abc&page=2", LIMITS, ALLOWED, scratch, None)
    kept.step(source)
    sent = [("authorization" in headers) for _, headers in site.requests]
    assert sent == [True, True, False]
    assert list(kept.texts) == [f"{site.url}/p?api_key=***&page=2"]
    assert b"opensesame" not in (kept.store / "sources.db").read_bytes()


@pytest.mark.parametrize(
    ("content_type", "path", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", "/p", "Größe".encode("latin-1"), "Größe"),
        ("text/plain; charset=iso-8859-1", "/p", "Größe".encode(), "Größe"),
        ("text/plain", "/notes.md", b"# Title\n\nThirty days.", "# Title\n\nThirty days."),
        ("application/octet-stream", "/notes.txt", b"Thirty days.", "Thirty days."),
        ("application/json", "/p", b'{"text": "Thirty days."}', "Thirty days."),
    ],
)
def test_content_types(
    kept: StoreInStep,
    site: Site,
    scratch: Scratch,
    content_type: str,
    path: str,
    body: bytes,
    text: str,
) -> None:
    site.pages[path] = Page(body, headers={"Content-Type": content_type})
    kept.step(page(site, scratch, path))
    assert list(kept.texts.values()) == [text]


@pytest.mark.parametrize("content_type", ["image/png", "video/mp4", "application/zip", "nonsense"])
def test_other_content_types_are_failures(
    kept: StoreInStep, site: Site, scratch: Scratch, content_type: str
) -> None:
    site.pages["/p"] = Page(b"\x89PNG", headers={"Content-Type": content_type})
    (failure,) = kept.step(page(site, scratch)).failures
    assert f"content type {content_type} cannot be read" in failure.reason
