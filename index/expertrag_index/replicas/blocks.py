"""Cuts a database into blocks, and puts one together from blocks that are here or elsewhere."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from expertrag_index.replicas.published import DatabaseBlocks
from expertrag_index.replicas.remote import WORKERS
from expertrag_index.types import Progress

_LEAST, _MOST = 1 << 14, 1 << 18
_LEVEL = 1  # of zlib: texts shrink by more than half, vectors do not with any level


def block_bytes_of(size: int) -> int:
    """Return the size of blocks for a database of ``size`` bytes: a power of two.

    A small change touches some fifteen pages in as many blocks, of which each is uploaded whole.
    The list of a generation names every block in 67 bytes. Their sum is least at about twice the
    root of the size.
    """
    block_bytes = _LEAST
    while block_bytes < _MOST and block_bytes * block_bytes < 4 * size:
        block_bytes *= 2
    return block_bytes


def cut(path: Path, block_bytes: int) -> DatabaseBlocks:
    """Return the blocks of a database file that nobody writes to."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return DatabaseBlocks(size, block_bytes, tuple(_digests(file.fileno(), block_bytes)))


def pack_block(path: Path, offset: int, size: int) -> bytes:
    """Return the object of a block."""
    with path.open("rb") as file:
        return zlib.compress(os.pread(file.fileno(), size, offset), _LEVEL)


def most_packed(block_bytes: int) -> int:
    """Return the size of the longest object of a block: zlib adds a little to what is random."""
    return block_bytes + block_bytes // 100 + 64


def unpack_block(data: bytes, digest: str, most: int) -> bytes | None:
    """Return the block in an object; None if its sha256 is another.

    :param most: bytes of the longest block.
    """
    try:
        block = zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return None
    return block if hashlib.sha256(block).hexdigest() == digest else None


def assemble(
    part: Path,
    wanted: DatabaseBlocks,
    sources: Sequence[Path],
    fetch: Callable[[str], bytes],
    progress: Progress,
) -> None:
    """Make a database of its blocks in the file ``part``, durably.

    Blocks that ``part`` holds already, from a run that was killed, are kept. Others are copied from
    ``sources``, wherever they have them; the rest is fetched. Every block is compared with its
    sha256.

    :param sources: files that nobody writes to.
    :param fetch: returns the block of a sha256.
    """
    block_bytes = wanted.block_bytes
    with ExitStack() as opened:
        target = opened.enter_context(os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT), "r+b"))
        known: dict[str, tuple[int, int]] = {}
        for source in sources:
            number = opened.enter_context(source.open("rb")).fileno()
            for index, digest in enumerate(_digests(number, block_bytes)):
                known.setdefault(digest, (number, index * block_bytes))
        held = list(_digests(target.fileno(), block_bytes))
        target.truncate(wanted.bytes)
        missing: dict[str, list[int]] = {}
        for index, digest in enumerate(wanted.blocks):
            offset = index * block_bytes
            if index < len(held) and held[index] == digest:
                continue
            if digest in known:
                length = min(block_bytes, wanted.bytes - offset)
                _copy(*known[digest], target.fileno(), offset, length)
            else:
                missing.setdefault(digest, []).append(offset)
        _fetch(target.fileno(), missing, fetch, progress)
        os.fsync(target.fileno())


def _fetch(
    target: int,
    missing: dict[str, list[int]],
    fetch: Callable[[str], bytes],
    progress: Progress,
) -> None:
    def write(digest: str) -> None:
        block = fetch(digest)
        for offset in missing[digest]:
            _write(target, block, offset)

    with ThreadPoolExecutor(WORKERS) as workers:
        pending = [workers.submit(write, digest) for digest in missing]
        try:
            for done, each in enumerate(pending, 1):
                each.result()
                progress("download", done, len(pending))
        finally:
            workers.shutdown(cancel_futures=True)


def _digests(file: int, block_bytes: int) -> Iterator[str]:
    """Yield the sha256 of each block; the last one may be shorter."""
    offset = 0
    while block := os.pread(file, block_bytes, offset):
        yield hashlib.sha256(block).hexdigest()
        offset += len(block)


def _copy(source: int, source_offset: int, target: int, offset: int, length: int) -> None:
    """Copy within the system, which shares the space of a block where the file system can."""
    try:
        copied = os.copy_file_range(source, target, length, source_offset, offset)
    except (OSError, AttributeError):  # other file systems, and other systems
        copied = 0
    if copied < length:
        _write(target, os.pread(source, length, source_offset), offset)


def _write(target: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view, offset)
        view, offset = view[written:], offset + written
