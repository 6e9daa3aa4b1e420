"""Invalid requests: always INVALID_ARGUMENT, always naming the field."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from serving_fixtures import StartServer, trailing_of

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.errors import InvalidArgument, Overloaded
from expertrag.api.types import Constraint
from expertrag.client import Client
from expertrag.serving.server import Server
from expertrag.v1 import answer_pb2, embed_pb2, gate_pb2, index_pb2, info_pb2, retrieve_pb2

Ask = Callable[[Any], Any]
METHODS = [
    (method.full_name, method)
    for module in (answer_pb2, embed_pb2, gate_pb2, index_pb2, info_pb2, retrieve_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(allow_writes=True)


def details_of(error: Any) -> list[Any]:
    """Unpack the details of a failed call, in the order sent."""
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest)
    status = status_pb2.Status.FromString(trailing_of(error)["grpc-status-details-bin"])
    found = []
    for detail in status.details:
        kind = next(kind for kind in kinds if detail.Is(kind.DESCRIPTOR))
        message = kind()
        detail.Unpack(message)
        found.append(message)
    return found


def send(channel: Any, path: str, method: Any, message: bytes) -> None:
    """Call a method with a raw message."""
    if method.client_streaming:
        channel.stream_unary(path)(iter([message]), timeout=10)
    elif method.server_streaming:
        list(channel.unary_stream(path)(message, timeout=10))
    else:
        channel.unary_unary(path)(message, timeout=10)


@pytest.mark.parametrize("garbage", [b"\xff", b"\x0a\x05ab", b"\x00" * 9], ids=repr)
def test_malformed_messages_on_every_method(channel: grpc.Channel, garbage: bytes) -> None:
    assert len(METHODS) == 10
    for full_name, method in METHODS:
        service, _, name = full_name.rpartition(".")
        path = f"/{service}/{name}"
        with pytest.raises(grpc.RpcError) as caught:
            send(channel, path, method, garbage)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, path
        assert details_of(caught.value)[0].reason == "MALFORMED_MESSAGE"


def _constrained(constraint: Any) -> Ask:
    return lambda client: client.answer("x", constraint=constraint)


_ROUTED = Contrast(WeakSide.ROUTING, routing="best")


def _contrast(**changes: Any) -> Contrast:
    return Contrast(WeakSide.NO_PASSAGES, **changes)


def _choices(*texts: str) -> Ask:
    return _constrained(Constraint(choices=texts))


NAMED: list[tuple[str, Ask]] = [
    ("question", lambda client: client.answer("")),
    ("question", lambda client: client.answer(" \n")),
    ("question", lambda client: client.answer("x" * 2**20)),
    ("question", lambda client: list(client.stream(""))),
    ("question", lambda client: client.decide("")),
    ("query", lambda client: client.retrieve("")),
    ("query", lambda client: client.retrieve("x" * 2**20)),
    ("k", lambda client: client.retrieve("x", k=0)),
    ("k", lambda client: client.retrieve("x", k=10**6)),
    ("k", lambda client: client.answer("x", k=-1)),
    ("mode", lambda client: client.answer("x", mode="sometimes")),
    ("mode", lambda client: client.retrieve("x", mode="magic")),
    ("threshold", lambda client: client.answer("x", threshold=1.5)),
    ("threshold", lambda client: client.decide("x", threshold=math.nan)),
    ("max_tokens", lambda client: client.answer("x", max_tokens=0)),
    ("temperature", lambda client: client.answer("x", temperature=math.inf)),
    ("stop", lambda client: client.answer("x", stop=[""])),
    ("frequency_penalty", lambda client: client.answer("x", frequency_penalty=-0.1)),
    ("frequency_penalty", lambda client: client.answer("x", frequency_penalty=2.1)),
    ("frequency_penalty", lambda client: client.answer("x", frequency_penalty=math.nan)),
    ("logprobs", lambda client: client.answer("x", logprobs=21)),
    ("routing", lambda client: client.answer("x", routing=" ")),
    ("routing", lambda client: client.answer("x", routing="top_k:0")),
    ("contrast.routing", lambda client: client.answer("x", contrast=_ROUTED)),
    ("contrast.weak", lambda client: client.answer("x", contrast=Contrast("itself"))),  # type: ignore[arg-type]
    ("contrast.beta", lambda client: client.answer("x", contrast=_contrast(beta=4.1))),
    ("contrast.beta", lambda client: client.answer("x", contrast=_contrast(beta=math.nan))),
    (
        "contrast.plausibility",
        lambda client: client.answer("x", contrast=_contrast(plausibility=0)),
    ),
    ("constraint", _constrained(Constraint())),
    ("constraint", _constrained(Constraint("a", {}))),
    ("constraint", _constrained({"regex": "a"})),
    ("constraint.json_schema", _constrained(Constraint(None, "{}"))),  # type: ignore[arg-type]
    ("constraint.json_schema", _constrained(Constraint(json_schema={"a": object()}))),
    ("constraint.regex", _constrained(Constraint(regex=""))),
    ("constraint.choices", _choices()),
    ("constraint.choices", _choices("a", "")),
    ("constraint.choices", _choices("a" * 2**17)),
    ("texts", lambda client: client.embed([])),
    ("texts", lambda client: client.embed(["x"] * 257)),
    ("texts", lambda client: client.embed("one string")),
    ("role", lambda client: client.embed(["x"], role="passage")),
    ("filter", lambda client: client.retrieve("x", filter={"year": 2**60})),
    ("ids", lambda client: client.delete("office/leave")),
]


def test_the_field_is_named(client: Client) -> None:
    for number, (field, ask) in enumerate(NAMED):
        with pytest.raises(InvalidArgument) as caught:
            ask(client)
        assert caught.value.metadata["field"] == field, number
        assert caught.value.message.startswith(f"{field}: ")
        assert "\n" not in caught.value.message


def test_the_field_is_named_in_bad_request(channel: grpc.Channel) -> None:
    unknown: Any = 99
    requests: list[tuple[str, Any, str]] = [
        ("Retrieve/Retrieve", retrieve_pb2.RetrieveRequest(query="rose", k=0), "k"),
        ("Gate/Decide", gate_pb2.DecideRequest(query="x", policy={"mode": unknown}), "mode"),
    ]
    for schema in ("{", "[1]"):
        question = {"text": "x", "sampling": {"constraint": {"json_schema": schema}}}
        request = answer_pb2.AnswerRequest(question=question)
        requests.append(("Answer/Answer", request, "constraint.json_schema"))
    for path, message, field in requests:
        call: Any = channel.unary_unary(f"/expertrag.v1.{path.replace('/', 'Service/')}")
        with pytest.raises(grpc.RpcError) as caught:
            call(message.SerializeToString(), timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, path
        info, bad = details_of(caught.value)
        assert info.domain == "expertrag" and info.metadata["request_id"]
        assert bad.field_violations[0].field == field


def test_unknown_filter_fields_and_operators(client: Client) -> None:
    for wanted in ({"colour": "red"}, {"year": {"$near": 3}}):
        with pytest.raises(InvalidArgument) as caught:
            client.answer("x", mode="always", filter=wanted)
        assert caught.value.reason == "INVALID_FILTER"


def test_values_that_do_not_fit_the_message(client: Client) -> None:
    asks: list[Ask] = [
        lambda client: client.retrieve("x", k=2**40),
        lambda client: client.answer("\ud800"),
        lambda client: client.retrieve("x", filter={"year": object()}),
        lambda client: client.retrieve("x", k="many"),
    ]
    for ask in asks:
        with pytest.raises(InvalidArgument, match="does not fit"):
            ask(client)


def test_a_message_over_the_limit_differs_from_overload(client: Client) -> None:
    with pytest.raises(Overloaded) as caught:
        client.retrieve("x" * 9_000_000)
    assert caught.value.reason == "MESSAGE_TOO_LARGE"
    assert caught.value.retry_after_s is None
