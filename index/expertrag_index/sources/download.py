"""Fetches a page over HTTP: checked addresses, few redirects, and limits of size and time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from expertrag_index.loaders.base import Unreadable, too_large
from expertrag_index.sources.addresses import Refuse, Resolve, refusal, resolve, resolve_address
from expertrag_index.sources.redact import redact

MOST_REDIRECTS = 5
_CONNECT_S, _SILENT_S = 10.0, 20.0
_PORTS = {"http": 80, "https": 443}
_FOLLOWED = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """What may be fetched: ``page_s`` is the longest time of a page, with its redirects."""

    refuse: Refuse = refusal
    page_s: float = 60.0
    resolve: Resolve = resolve


@dataclass(frozen=True, slots=True)
class Response:
    """A final answer: its body is empty unless the status is 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class _CheckedTransport(httpx.HTTPTransport):
    """Connects to the address that was checked, with the host's name in ``Host`` and TLS.

    Connections are not kept: one to an address may belong to another host with a certificate of
    its own.
    """

    def __init__(self, policy: HttpPolicy) -> None:
        super().__init__(
            verify=httpx.create_ssl_context(),  # with the authorities of SSL_CERT_FILE, if set
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,  # a proxy would resolve names anew
        )
        self._policy = policy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Resolve the host once, check its addresses, and send the request to one of them."""
        host, port = request.url.host, request.url.port or _PORTS[request.url.scheme]
        address = resolve_address(host, port, self._policy.resolve, self._policy.refuse)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return super().handle_request(request)


def check_url(url: str) -> None:
    """Check that a URL can be fetched.

    :raises Unreadable: it is not a complete URL of HTTP.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise _not_http(redact_or_hide(url))


def _not_http(url: str) -> Unreadable:
    return Unreadable(f"{url} is not an http or https URL", "correct the URL")


def redact_or_hide(url: str) -> str:
    """Return a URL without credentials, even if it is malformed."""
    try:
        return redact(url)
    except ValueError:
        return "the URL"


def fetch(url: str, headers: Mapping[str, str], policy: HttpPolicy, max_bytes: int) -> Response:
    """Get a page, and follow redirects, each of which is checked like the first URL.

    User and password of the URL are sent to its own origin only, over HTTP's basic scheme.

    :raises Unreadable: it is refused, too large or too slow, or the connection fails.
    """
    ends_at = time.monotonic() + policy.page_s
    answers: queue.Queue[Response | Exception] = queue.Queue()

    def run() -> None:
        try:
            answers.put(_follow(url, headers, policy, max_bytes, ends_at))
        except Exception as error:
            answers.put(error)

    # a thread that may be left behind: a server that sends a byte now and then never times out
    threading.Thread(target=run, daemon=True).start()
    try:
        answer = answers.get(timeout=policy.page_s)
    except queue.Empty:
        raise _too_slow(policy.page_s) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _follow(
    url: str, headers: Mapping[str, str], policy: HttpPolicy, max_bytes: int, ends_at: float
) -> Response:
    timeout = httpx.Timeout(min(_SILENT_S, policy.page_s), connect=_CONNECT_S)
    first = _origin(url)
    with httpx.Client(
        transport=_CheckedTransport(policy), timeout=timeout, trust_env=False
    ) as client:
        for _ in range(MOST_REDIRECTS + 1):
            check_url(url)
            own = dict(headers) if _origin(url) == first else {}
            try:
                response = _get(client, url, own, max_bytes, ends_at)
            except httpx.TimeoutException:
                raise _too_slow(policy.page_s) from None
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                kind = type(error).__name__
                raise Unreadable(f"the connection failed ({kind})", "try again later") from None
            if response.status not in _FOLLOWED or "location" not in response.headers:
                return response
            url = _next(url, response.headers["location"])
    raise Unreadable(f"more than {MOST_REDIRECTS} redirects", "give the URL of the page itself")


def _too_slow(page_s: float) -> Unreadable:
    return Unreadable(f"no whole answer within {page_s:g} s", "try again later")


def _get(
    client: httpx.Client, url: str, headers: Mapping[str, str], max_bytes: int, ends_at: float
) -> Response:
    # httpx sends a user and password of the URL itself; an encoded body could unpack to any size
    wanted = {"Accept-Encoding": "identity", "User-Agent": "expertrag", **headers}
    with client.stream("GET", url, headers=wanted) as response:
        plain = Response(response.status_code, dict(response.headers))
        if response.status_code != httpx.codes.OK:
            return plain
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Unreadable("the server packs the page although asked not to", "ask its owner")
        body = bytearray()
        for part in response.iter_raw():
            body += part
            if len(body) > max_bytes:
                raise too_large("the page", max_bytes)
            if time.monotonic() > ends_at:
                raise httpx.ReadTimeout("")
    return Response(plain.status, plain.headers, bytes(body))


def _next(url: str, location: str) -> str:
    """Return where a redirect leads; a user and password in it are dropped."""
    try:
        following = urlsplit(urljoin(url, location))
    except ValueError:
        raise _not_http("the URL that it redirects to") from None
    if urlsplit(url).scheme == "https" and following.scheme == "http":
        raise Unreadable("it redirects from https to http", "give the URL of the page itself")
    host = following.netloc.rpartition("@")[2]
    if host == urlsplit(url).netloc.rpartition("@")[2]:
        host = urlsplit(url).netloc  # the same origin gets the same user
    return following._replace(netloc=host).geturl()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
