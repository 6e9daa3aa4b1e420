"""Recordings of what a client sends on a connection, to be sent again, whole or damaged."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

import fuzz_messages

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_FRAME_HEAD = 9
_DATA, _RST_STREAM, _GOAWAY = 0, 3, 7  # types of frames
CHUNK = 65_536


def recorded(address: str, call: Callable[[str], object]) -> bytes:
    """Return the bytes that a client sends to a server during a call.

    :param call: makes the call at the address that it is given.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    sent = bytearray()

    def forward() -> None:
        client, _ = listener.accept()
        with client, open_connection(address) as server:
            back = threading.Thread(target=_copy, args=(server, client, bytearray()))
            back.start()
            _copy(client, server, sent)
            back.join()

    thread = threading.Thread(target=forward)
    thread.start()
    call(f"127.0.0.1:{listener.getsockname()[1]}")
    thread.join()
    listener.close()
    return bytes(sent)


def without_end(recording: bytes) -> bytes:
    """Return a recording up to where the client cancels its call, or says goodbye."""
    return _before(recording, _RST_STREAM, _GOAWAY)


def before_message(recording: bytes) -> bytes:
    """Return a recording up to where the client sends its first message."""
    return _before(recording, _DATA)


def _before(recording: bytes, *types: int) -> bytes:
    start = len(_PREFACE)
    while start + _FRAME_HEAD <= len(recording):
        if recording[start + 3] in types:
            break
        start += _FRAME_HEAD + int.from_bytes(recording[start : start + 3], "big")
    return recording[:start]


def open_connection(address: str) -> socket.socket:
    """Connect to a server."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5.0)


def reset(connection: socket.socket) -> None:
    """Close a connection as a process does that is killed with unread data: by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _copy(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            kept += data
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def garbage(recording: bytes, rng: random.Random) -> bytes:
    """Return bytes of a client that does not speak gRPC, or speaks it badly.

    :param recording: of a real connection.
    """
    kind = rng.randrange(9)
    noise = rng.randbytes(rng.randint(1, 2000))
    if kind == 0:
        return noise
    if kind == 1:
        return b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    if kind == 2:
        return b"\x16\x03\x01" + noise  # the first bytes of TLS
    if kind == 3:
        return b""
    if kind == 4:
        return _PREFACE + noise
    if kind == 5:  # a frame of any type, with headers that may be longer than the frame
        head = rng.randbytes(3) + bytes([rng.randrange(12), rng.randrange(256)]) + rng.randbytes(4)
        return _PREFACE + _SETTINGS + head + noise
    if kind == 6:
        return recording[: rng.randrange(len(recording))]
    return recording[: len(_PREFACE)] + fuzz_messages.damaged(recording[len(_PREFACE) :], rng)


def send(address: str, data: bytes, rng: random.Random) -> None:
    """Send bytes on a new connection, read a part of the reply or none, and close it."""
    with suppress(OSError), open_connection(address) as connection:
        connection.settimeout(0.02)
        connection.sendall(data)
        if rng.random() < 0.5:
            with suppress(TimeoutError):
                while connection.recv(CHUNK):
                    pass
        if rng.random() < 0.5:
            reset(connection)
