"""Who may call, and from where: tokens, hosts, certificates."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from http_fixtures import CHAT, Served, StartHttp, chat_body, error_of, stalled

from expertrag.api.access import Access
from expertrag.api.errors import InvalidArgument
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig, Config, ServiceConfig, TlsConfig
from expertrag.serving.http import HttpServer


def test_tokens_scopes_and_tenants(start_http: StartHttp, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    reader = tokens.create("reader", frozenset({Scope.READ}))
    writer = tokens.create("writer", frozenset({Scope.WRITE}))
    tenant = tokens.create("tenant", frozenset({Scope.READ}), access=Access("acme"))
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))

    def asked(token: str) -> httpx.Response:
        return served.post(
            CHAT, chat_body(), headers={"authorization": f"Bearer {token}".encode("latin-1")}
        )

    assert asked(reader.text).status_code == 200
    for refused in (served.post(CHAT, chat_body()), asked("wrong"), asked("\u00e9")):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert error_of(refused)["code"] == "invalid_api_key"
    assert asked(writer.text).status_code == 403
    assert error_of(asked(writer.text))["type"] == "permission_error"
    assert asked(tenant.text).status_code == 404  # the default collection is not a tenant's
    listed = served.get("/v1/models", headers={"authorization": f"Bearer {tenant.text}"})
    assert listed.json()["data"] == []
    assert served.get("/health").status_code == 200


def test_a_token_of_the_process_is_nobody_elses(
    start_http: StartHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    monkeypatch.setenv("EXPERTRAG_TOKEN", tokens.create("own", frozenset(Scope)).text)
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))
    assert served.post(CHAT, chat_body()).status_code == 401


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/embeddings", "/mcp"])
@pytest.mark.parametrize("headers", ["", "authorization: Bearer wrong\r\n"])
def test_nothing_is_received_without_a_token(
    start_http: StartHttp, tmp_path: Path, path: str, headers: str
) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    tokens.create("reader", frozenset({Scope.READ}))
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))
    with stalled(served, path, headers) as connection:
        response = connection.recv(65_536)
    assert response.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", ""])
def test_other_hosts_are_refused_on_the_loopback(served: Served, host: str) -> None:
    refused = served.get("/v1/models", headers={"host": host})
    assert refused.status_code == 403
    assert error_of(refused)["param"] == "host"


def test_hosts_that_are_named_are_served(start_http: StartHttp) -> None:
    served = start_http(http_host="rag.example, other.example")
    for host in ("rag.example", "other.example:443", "LOCALHOST:9", "[::1]:80"):
        assert served.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def tls_of(authority: trustme.CA, folder: Path, *, mutual: bool = False) -> TlsConfig:
    issued = authority.issue_cert("127.0.0.1", "localhost")
    cert, key, ca = (str(folder / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.private_key_pem.write_to_path(key)
    Path(cert).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(ca)
    return TlsConfig(cert, key, ca if mutual else "")


def test_tls_of_the_grpc_server(
    start_http: StartHttp, authority: trustme.CA, tmp_path: Path
) -> None:
    served = start_http(tls=tls_of(authority, tmp_path))
    url = f"https://{served.http.address}/v1/models"
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert httpx.get(url, verify=trusting).status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{served.http.address}/v1/models")


def test_a_changed_certificate_is_followed(
    start_http: StartHttp, authority: trustme.CA, tmp_path: Path
) -> None:
    served = start_http(tls=tls_of(authority, tmp_path))
    url = f"https://{served.http.address}/v1/models"
    tls_of(trustme.CA(), tmp_path)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert httpx.get(url, verify=trusting).status_code == 200


def test_mutual_tls_is_for_http_too(
    start_http: StartHttp, authority: trustme.CA, tmp_path: Path
) -> None:
    served = start_http(tls=tls_of(authority, tmp_path, mutual=True))
    url = f"https://{served.http.address}/v1/models"
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, verify=trusting)
    authority.issue_cert("client.example").configure_cert(trusting)
    assert httpx.get(url, verify=trusting).status_code == 200


def test_nothing_listens_beyond_loopback_in_the_clear() -> None:
    config = Config(service=ServiceConfig(http_address="0.0.0.0:0"))
    with pytest.raises(InvalidArgument, match="TLS"):
        HttpServer(config)
