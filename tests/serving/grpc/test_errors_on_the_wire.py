"""Typed errors reach the client unchanged; unexpected ones do not reveal their cause."""

from __future__ import annotations

import base64
from urllib.parse import quote

import grpc
import pytest
from prometheus_client import Counter, Gauge
from serving_fixtures import OpenPipeline, PacedGenerator, PacedSession, StartServer

from expertrag.api import errors
from expertrag.client import Client
from expertrag.client.rpc_errors import from_rpc
from expertrag.config import ServiceConfig
from expertrag.runtime.panics import PanicError
from expertrag.runtime.stop import Stop
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.messages import message_of
from expertrag.serving.core.workers import CallKind, Workers
from expertrag.serving.grpc.status import status_of

TREE = [errors.ExpertRAGError, *errors.ExpertRAGError.__subclasses__()]


@pytest.mark.parametrize("kind", TREE)
def test_an_error_survives_the_wire(kind: type[errors.ExpertRAGError]) -> None:
    sent = kind("what to do", reason="SOME_REASON", metadata={"field": "k"})
    code, trailing = status_of(sent, "r-1")
    got = from_rpc(code, sent.message, trailing, address="a:1", timeout=1)
    assert type(got) is (errors.Unimplemented if kind is errors.MissingExtra else kind)
    assert got.message == sent.message
    assert (got.reason, got.domain) == ("SOME_REASON", "expertrag")
    assert got.metadata == {"field": "k"}
    assert got.request_id == "r-1"


def test_retry_after_survives_the_wire() -> None:
    sent = errors.Overloaded("busy", retry_after_s=1.5, reason="OVERLOADED")
    code, trailing = status_of(sent, "r-1")
    got = from_rpc(code, sent.message, trailing, address="a:1", timeout=1)
    assert isinstance(got, errors.Overloaded)
    assert got.retry_after_s == 1.5
    assert dict(trailing)["grpc-retry-pushback-ms"] == "1500"


@pytest.mark.parametrize("message", ["x" * 100_000, "ü" * 50_000])
def test_a_long_message_is_cut_to_what_grpc_carries(message: str) -> None:
    sent = errors.InvalidArgument(message, metadata={"field": message, "grpc": message})
    code, trailing = status_of(sent, "r-1")
    cut = message_of(sent)
    carried = quote(cut) + "".join(
        base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for _, value in trailing
    )
    assert len(carried) < 7 * 1024  # of 8 KiB, with the names and gRPC's own entries
    got = from_rpc(code, cut, trailing, address="a:1", timeout=1)
    assert got.message == cut and message.startswith(cut.removesuffix("…"))


def test_paths_of_the_server_stay_there() -> None:
    damaged = errors.ServerError("/srv/stores/hr/rows.sqlite is damaged: run --repair")
    assert message_of(damaged) == "(a path of the server) is damaged: run --repair"
    own = errors.InvalidArgument("ids: /srv/stores/hr is unknown")
    assert message_of(own) == own.message


class BrokenGenerator(PacedGenerator):
    """Raises an unexpected error."""

    def session(self, *_: object) -> PacedSession:
        raise ZeroDivisionError("/secret/path of the question")


def test_a_bug_is_internal_and_shows_only_the_request_id(
    start_server: StartServer, open_pipeline: OpenPipeline
) -> None:
    server = start_server(lambda: open_pipeline(BrokenGenerator()))
    with Client(server.address) as client:
        for ask in (
            lambda: client.answer("a question", mode="never"),
            lambda: list(client.stream("a question", mode="never")),
        ):
            with pytest.raises(errors.ServerError) as caught:
                ask()
            assert caught.value.code == "INTERNAL"
            assert caught.value.request_id in caught.value.message
            assert "secret" not in str(caught.value.metadata) + caught.value.message
        assert client.retrieve("the server lives", k=1).passages


def test_invalid_error_details_are_ignored() -> None:
    trailing = (("grpc-status-details-bin", b"\xff\xff"),)
    got = from_rpc(grpc.StatusCode.INTERNAL, "boom", trailing, address="a:1", timeout=1)
    assert isinstance(got, errors.ServerError)


@pytest.mark.parametrize("metric", [Counter, Gauge])
def test_a_metric_that_fails_fails_no_call(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, metric: type[Counter | Gauge]
) -> None:
    server = start_server()

    def failing(*_: object) -> None:
        raise ValueError("a text that nobody may see")

    with Client(server.address) as client:
        monkeypatch.setattr(metric, "inc", failing)
        assert client.info().version
        with pytest.raises(errors.InvalidArgument):
            client.retrieve("")


async def test_a_panic_in_a_worker_is_an_error() -> None:
    class Panic(BaseException):
        """What a panic in a library of Rust looks like."""

    def panicking(_stop: Stop) -> None:
        raise Panic("a text")

    workers = Workers(ServiceConfig())
    with pytest.raises(PanicError, match=r"^Panic$"):
        await workers.run(CallKind.READ, CallContext("", ""), panicking)
    await workers.close()
