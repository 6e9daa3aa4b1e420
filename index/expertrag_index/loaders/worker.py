"""Parses files in a process that may be lost: ``python -m`` this module.

A small file can take any amount of time and memory to parse, or end the process. Messages are JSON
over a socket pair: a file comes in; its documents and failures go out, then ``END``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from expertrag_common.worker_process import limit_cpu, limit_memory, parent_link
from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.parse import parse
from expertrag_index.types import Document, LoadFailure

MEMORY_BYTES = 2 << 30
"""Address space of a process; Python and the parsers take a tenth of it."""
END = b"end"
_DOCUMENT, _FAILURE = b"d", b"f"


def main(descriptor: int) -> None:
    """Parse files until the parent closes the socket."""
    limit_memory(MEMORY_BYTES)
    parent = parent_link(descriptor)
    try:
        while True:
            file, max_s = decode_file(parent.recv_bytes())
            limit_cpu(max_s)
            for item in parse(file):
                message = _encode(item)
                limit_cpu(0)
                parent.send_bytes(message)
                limit_cpu(max_s)
            limit_cpu(0)
            parent.send_bytes(END)
    except (EOFError, OSError):  # the parent has ended
        return


def encode_file(file: SourceFile, max_s: float) -> bytes:
    """Encode a file to parse, and the seconds that each of its documents may take."""
    return json.dumps([{**asdict(file), "path": str(file.path)}, max_s]).encode()


def decode_file(message: bytes) -> tuple[SourceFile, float]:
    """Decode what :func:`encode_file` made."""
    fields, max_s = json.loads(message)
    return SourceFile(**{**fields, "path": Path(fields["path"])}), max_s


def _encode(item: Document | LoadFailure) -> bytes:
    if isinstance(item, Document):
        return _DOCUMENT + json.dumps(asdict(item)).encode()
    return _FAILURE + json.dumps(asdict(item)).encode()


def decode(message: bytes) -> Document | LoadFailure:
    """Decode a document or a failure that a worker sent."""
    fields = json.loads(message[1:])
    if message[:1] != _DOCUMENT:
        return LoadFailure(**fields)
    return Document(**{**fields, "page_starts": tuple(fields["page_starts"])})


if __name__ == "__main__":
    main(int(sys.argv[1]))
