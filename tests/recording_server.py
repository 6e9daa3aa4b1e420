"""A server that passes every call on to another one, and keeps what clients sent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

_WITHOUT_MEANING = ("user-agent", "traceparent")
_CLASSES_S = (25, 45, 90)
"""Between 20 s, which a test sets, and the defaults of 30, 60 and 600 s."""


@dataclass(frozen=True, slots=True)
class SentCall:
    """What a client sent, and the class of its deadline, which no load changes."""

    method: str
    message: bytes
    metadata: tuple[tuple[str, str], ...]
    deadline: int


class RecordingServer(grpc.GenericRpcHandler):
    """Listens on a free port of the loopback. ``calls`` are those of all methods but health."""

    def __init__(self, behind: str) -> None:
        self.calls: list[SentCall] = []
        self._channel = grpc.insecure_channel(behind)
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, handler_call_details: Any) -> Any:
        """Pass a call on as streams of bytes, which all four kinds of calls are."""
        method = handler_call_details.method
        metadata = tuple(
            (item.key, item.value)
            for item in handler_call_details.invocation_metadata
            if item.key not in _WITHOUT_MEANING
        )

        def run(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            message, remaining = next(messages), context.time_remaining() or 0.0
            if "Health" not in method:
                self.calls.append(
                    SentCall(
                        method, message, metadata, sum(remaining > limit for limit in _CLASSES_S)
                    )
                )
            behind: Any = self._channel.stream_stream(method)
            try:
                yield from behind(iter([message]), timeout=remaining, metadata=metadata)
            except grpc.RpcError as error:
                failed: Any = error
                context.set_trailing_metadata(failed.trailing_metadata())
                context.abort(failed.code(), failed.details())

        return grpc.stream_stream_rpc_method_handler(run)

    def close(self) -> None:
        """Stop listening, and disconnect."""
        self._server.stop(None).wait()
        self._channel.close()
