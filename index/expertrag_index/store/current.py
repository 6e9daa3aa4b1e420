"""The file ``CURRENT``: names the published generation, with a checksum against flipped bits.

Its one line is the name of the generation's folder and the sha256 of that name. It names generation
0 until the first one is published, so that a missing CURRENT next to a generation is always damage.
"""

from __future__ import annotations

import hashlib

from expertrag_common.durable import write_durably
from expertrag_index.errors import StoreCorruptError, StoreNotFoundError
from expertrag_index.store.layout import Layout, generation_name, parse_generation


def write_current(layout: Layout, number: int) -> None:
    """Publish generation ``number``: every reader opens it after this."""
    write_durably(layout.current, _line(number))


def read_current(layout: Layout) -> int:
    """Read which generation is published.

    :raises StoreNotFoundError: there is no store, or nothing has been published in it.
    :raises StoreCorruptError: CURRENT is missing or damaged although generations exist.
    """
    nothing_there = StoreNotFoundError(
        f"no store at {layout.root}: build one with "
        f"'expertrag index build DOCS --out {layout.root}'"
    )
    try:
        data = layout.current.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if layout.generation_numbers():
            raise StoreCorruptError(f"{layout.current} is missing") from None
        raise nothing_there from None
    number = parse_generation(data.split(b" ")[0].decode("ascii", "replace"))
    if number is None or data != _line(number):
        raise StoreCorruptError(f"{layout.current} is damaged")
    if number == 0:
        raise nothing_there
    return number


def _line(number: int) -> bytes:
    name = generation_name(number)
    return f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n".encode()
