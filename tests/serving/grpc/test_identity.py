"""Who may call a server: TLS, tokens, scopes, and to whom an answer belongs."""

from __future__ import annotations

import itertools
import os
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from serving_fixtures import Background, OpenPipeline, StartServer, wait_until

from expertrag.api.access import Access
from expertrag.api.errors import (
    ExpertRAGError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from expertrag.api.tls import Tls
from expertrag.api.types import DocumentInput
from expertrag.audit import Audit
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import AsyncClient, Client
from expertrag.config import AuthConfig, TlsConfig
from expertrag.serving.core.scopes import SCOPES
from expertrag.serving.core.tls import server_context
from expertrag.serving.grpc.services import NAMES, SERVICES

READ, WRITE, ADMIN = (frozenset({scope}) for scope in Scope)


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def auth(tokens: TokenFile) -> AuthConfig:
    return AuthConfig(tokens=str(tokens.path))


CALLS: dict[Scope, list[Callable[[Client], object]]] = {
    Scope.READ: [
        lambda client: client.answer("When are roses pruned?", mode="never", max_tokens=3),
        lambda client: list(client.stream("When?", mode="never", max_tokens=3)),
        lambda client: client.retrieve("roses"),
        lambda client: client.decide("When are roses pruned?"),
        lambda client: client.embed(["roses"]),
        lambda client: client.stats(),
        lambda client: client.info(),
        lambda client: client.collections(),
    ],
    Scope.WRITE: [
        lambda client: client.upsert([DocumentInput("a", "Roses are red.")]),
        lambda client: client.delete(["a"]),
    ],
    Scope.ADMIN: [
        lambda client: client.decisions.replay(threshold=0.5),
        lambda client: client.decisions.questions(),
        lambda client: client.decisions.experts(),
        lambda client: client.create_collection("more"),
        lambda client: client.drop_collection("more"),
    ],
}


def refusal(call: Callable[[Client], object], client: Client) -> str:
    """Return the reason why a call is refused, empty if it is not."""
    try:
        call(client)
    except ExpertRAGError as error:
        return error.reason
    return ""


def test_every_method_needs_its_scope(
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    own_store: Path,
    tokens: TokenFile,
    auth: AuthConfig,
) -> None:
    by_scope = {scope: tokens.create(scope, frozenset({scope})) for scope in Scope}
    server = start_server(lambda: open_pipeline(store=own_store), auth=auth, allow_writes=True)
    for scope, call in ((scope, call) for scope, calls in CALLS.items() for call in calls):
        for held, made in by_scope.items():
            with Client(server.address, token=made.text) as client:
                assert (refusal(call, client) == "SCOPE_MISSING") is (held is not scope)
        with Client(server.address) as client:
            assert refusal(call, client) == "TOKEN_MISSING"
        with Client(server.address, token=made.text[:-2] + "xx") as client:
            assert refusal(call, client) == "TOKEN_REFUSED"


def test_every_method_has_a_scope() -> None:
    methods = {
        f"{name.rpartition('.')[2]}/{method}"
        for name, servicer in zip(NAMES, SERVICES, strict=True)
        for method in vars(servicer)
        if method[0].isupper()
    }
    assert methods == SCOPES.keys()


def test_a_revoked_token_is_refused_while_the_server_runs(
    start_server: StartServer, tokens: TokenFile, auth: AuthConfig
) -> None:
    made = tokens.create("ci", READ)
    current = [made.text]
    server = start_server(auth=auth)
    with Client(server.address, token=lambda: current[0]) as client:
        assert client.retrieve("roses").passages
        rotated = tokens.rotate(made.token.id, grace=made.token.created - made.token.created)
        wait_until(lambda: refusal(CALLS[Scope.READ][2], client) == "TOKEN_REFUSED")
        current[0] = rotated.text  # a provider is asked before every call
        assert client.retrieve("roses").passages


def test_the_environment_gives_the_token(
    start_server: StartServer,
    tokens: TokenFile,
    auth: AuthConfig,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXPERTRAG_TOKEN", tokens.create("ci", READ).text)
    server = start_server(auth=auth)
    with Client(server.address) as client:
        assert client.stats().documents == 18

    async def scenario() -> None:
        async with AsyncClient(server.address) as twin:
            assert (await twin.stats()).documents == 18
            events = [event async for event in twin.stream("When?", mode="never", max_tokens=2)]
            assert events

    background.run(scenario())


def test_feedback_is_bound_to_the_caller_who_got_the_answer(
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    tokens: TokenFile,
    auth: AuthConfig,
    tmp_path: Path,
) -> None:
    log = tmp_path / "audit.jsonl"
    ada, bob = tokens.create("ada", READ), tokens.create("bob", READ)
    server = start_server(lambda: open_pipeline(audit=Audit(log)), auth=auth)
    with (
        Client(server.address, token=ada.text) as hers,
        Client(server.address, token=bob.text) as his,
    ):
        answer = hers.answer("When are roses pruned?", mode="always", max_tokens=3)
        for wrong in (answer.id, "0" * 32):
            with pytest.raises(NotFound) as caught:
                his.feedback(wrong, helpful=False)
            assert caught.value.reason == "ANSWER_NOT_FOUND"
        hers.feedback(answer.id, helpful=True)
    again = start_server(lambda: open_pipeline(audit=Audit(log)), auth=auth)
    with Client(again.address, token=ada.text) as hers:  # after a restart, too
        hers.feedback(answer.id, correct_answer="in March")
    kept = log.with_name("feedback.jsonl").read_text().splitlines()
    assert len(kept) == 2
    assert f'"caller": "token:{ada.token.id}"' in log.read_text()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write(folder: Path, certificate: trustme.LeafCert, authority: trustme.CA) -> TlsConfig:
    """Write the files of a server, and the authority's certificate as ``ca.pem``."""
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    folder.joinpath("cert.pem").unlink(missing_ok=True)
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(folder / "cert.pem"), append=True)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return TlsConfig(cert=str(folder / "cert.pem"), key=str(folder / "key.pem"))


def test_tls_and_a_changed_certificate(
    start_server: StartServer, tmp_path: Path, authority: trustme.CA
) -> None:
    tls = write(tmp_path, authority.issue_cert("localhost", "127.0.0.1"), authority)
    server = start_server(tls=tls)
    ours = Tls(tmp_path / "ca.pem")
    with Client(server.address, tls=ours) as client:
        assert client.retrieve("roses").passages
    with Client(server.address) as plain, pytest.raises(Unavailable):
        plain.stats(timeout=1)
    with Client(server.address, tls=True) as stranger, pytest.raises(Unavailable) as failed:
        stranger.stats()  # the system does not know the authority; it is not tried again
    assert failed.value.reason == "TLS_FAILED"
    other = trustme.CA()
    write(tmp_path, other.issue_cert("127.0.0.1"), other)
    with Client(server.address, tls=Tls(tmp_path / "ca.pem")) as client:
        assert client.stats().documents == 18
    key = (tmp_path / "key.pem").read_bytes()
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    with Client(server.address, tls=Tls(tmp_path / "ca.pem")) as client:
        assert client.stats().documents == 18  # the last good one stays
    with pytest.raises(InvalidArgument, match=r"key\.pem is not the private key of"):
        start_server(tls=tls)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_text("no certificate")
    with Client(server.address, tls=Tls(tmp_path / "ca.pem")) as client:
        assert client.stats().documents == 18


def spoil(file: Path, how: str) -> None:
    """Replace a file by something that is not its kind."""
    file.unlink()
    match how:
        case "a pipe":
            os.mkfifo(file)
        case "a folder":
            file.mkdir()
        case "a gigabyte":
            with file.open("wb") as out:
                out.truncate(1 << 30)
        case "half a PEM":
            file.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
        case "empty":
            file.write_bytes(b"")
        case "unreadable text":
            file.write_bytes(b"\xff" * 100)


SPOILT = ("missing", "a pipe", "a folder", "a gigabyte", "half a PEM", "empty", "unreadable text")


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem"])
def test_spoilt_tls_files_change_nothing(tmp_path: Path, authority: trustme.CA, name: str) -> None:
    """At both doors: the last good files serve every new connection, without a wait."""
    tls = write(tmp_path, authority.issue_cert("localhost"), authority)
    context = server_context(replace(tls, client_ca=str(tmp_path / "ca.pem")))
    assert context is not None
    good = (tmp_path / name).read_bytes()
    own = authority.issue_cert("worker@example.org")
    for how in SPOILT:
        spoil(tmp_path / name, how)
        began = time.monotonic()
        assert handshake(context, authority, own), how
        assert time.monotonic() - began < 2, how
        if how == "a folder":
            (tmp_path / name).rmdir()
        else:
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).write_bytes(good)
        assert handshake(context, authority, own), f"good again after {how}"


def handshake(context: ssl.SSLContext, authority: trustme.CA, own: trustme.LeafCert) -> bool:
    """Connect to a server in memory; return whether both sides accept each other."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    own.configure_cert(client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        context.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = 0
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
    return done >= len(ends)


def test_mutual_tls(
    start_server: StartServer, tmp_path: Path, authority: trustme.CA, background: Background
) -> None:
    tls = write(tmp_path, authority.issue_cert("127.0.0.1"), authority)
    mutual = TlsConfig(cert=tls.cert, key=tls.key, client_ca=str(tmp_path / "ca.pem"))
    server = start_server(tls=mutual)
    own = authority.issue_cert("worker@example.org", common_name="worker")
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    ours = Tls(tmp_path / "ca.pem", tmp_path / "own.pem", tmp_path / "own.key")
    with Client(server.address, tls=ours) as client:
        assert client.stats().documents == 18

    async def scenario() -> None:
        async with AsyncClient(server.address, tls=ours) as twin:
            assert (await twin.stats()).documents == 18

    background.run(scenario())
    with Client(server.address, tls=Tls(tmp_path / "ca.pem")) as no, pytest.raises(Unavailable):
        no.stats(timeout=1)


def test_beyond_loopback_a_server_needs_tls(
    start_server: StartServer, tmp_path: Path, authority: trustme.CA
) -> None:
    with pytest.raises(InvalidArgument, match="--tls-cert"):
        start_server(address="0.0.0.0:0")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        start_server(tls=TlsConfig(cert="missing.pem", key="missing.key"))
    start_server(address="0.0.0.0:0", auth=AuthConfig(insecure=True))
    tls = write(tmp_path, authority.issue_cert("127.0.0.1"), authority)
    assert reflects(start_server())
    assert not reflects(start_server(address="0.0.0.0:0", auth=AuthConfig(insecure=True)))
    start_server(address="0.0.0.0:0", tls=tls)


def reflects(server: object) -> bool:
    """Return whether a server lists its services."""
    port = str(server.address).rpartition(":")[2]  # type: ignore[attr-defined]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        )
        try:
            return bool(next(call(iter([b"\x3a\x00"]), timeout=5)))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            return False


def test_a_client_sends_no_token_in_the_clear(tmp_path: Path) -> None:
    for address in ("192.0.2.1:1", "rag.example:50051"):
        with pytest.raises(InvalidArgument, match="in the clear"):
            Client(address, token="ert_x")
        Client(address, token="ert_x", insecure=True).close()
        Client(address, token="ert_x", tls=True).close()
    for address in ("127.0.0.1:1", "localhost:1", "[::1]:1", f"unix:{tmp_path}/s"):
        Client(address, token="ert_x").close()
    with pytest.raises(InvalidArgument, match="cannot be read"):
        Client("127.0.0.1:1", tls=Tls(tmp_path / "missing.pem"))
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(InvalidArgument, match="is not a certificate"):
        Client("127.0.0.1:1", tls=Tls(tmp_path / "key.pem"))


@pytest.mark.parametrize("token", ["", "  ", "two words", "\u00e9", None, 5])
def test_what_is_no_token_is_not_sent(start_server: StartServer, token: Any) -> None:
    with (
        Client(start_server().address, token=lambda: token) as client,
        pytest.raises(InvalidArgument, match="token"),
    ):
        client.stats()


def test_a_missing_token_file_stops_the_start(start_server: StartServer) -> None:
    with pytest.raises(NotFound, match="expertrag tokens create"):
        start_server(auth=AuthConfig(tokens="missing.json"))


def test_writes_need_allow_writes_even_with_the_scope(
    start_server: StartServer, tokens: TokenFile, auth: AuthConfig
) -> None:
    made = tokens.create("ci", frozenset(itertools.chain(READ, WRITE)), access=Access())
    server = start_server(auth=auth)
    with Client(server.address, token=made.text) as client, pytest.raises(PermissionDenied) as no:
        client.delete(["a"])
    assert no.value.reason == "WRITES_DISABLED"
    with Client(server.address) as client, pytest.raises(Unauthenticated):
        client.stats()


def test_a_refused_call_is_not_read(
    start_server: StartServer, tokens: TokenFile, auth: AuthConfig
) -> None:
    tokens.create("ci", READ)
    server = start_server(auth=auth)
    read = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1)
            yield b"\x0a\x00" * 500_000

    with grpc.insecure_channel(server.address) as channel:
        for method in ("IndexService/Upsert", "AnswerService/StreamAnswer", "EmbedService/Embed"):
            call: Any = channel.stream_unary(f"/expertrag.v1.{method}")
            with pytest.raises(grpc.RpcError) as caught:
                call(endless(), timeout=10)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(read) < 100  # what fits into the windows of three calls
