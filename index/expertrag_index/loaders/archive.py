"""Opens files that are zip archives: Word, PowerPoint, Excel, EPUB.

Before a parser sees such a file its unpacked size is bounded, and what is encrypted is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from expertrag_index.loaders.base import SourceFile, Unreadable, quiet, too_large

_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Begins both an Office file with a password and one of the formats of 1997."""
_MOST_MEMBERS = 20_000
_PROLOGUE_BYTES = 4096
_DECLARES = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
_OF_XML = (".xml", ".rels")


@contextmanager
def open_archive(file: SourceFile, kind: str, *, office: bool = True) -> Iterator[io.BytesIO]:
    """Open an archive for a parser; whatever the parser raises becomes `Unreadable`.

    :param kind: name of the format, which is also its suffix.
    :param office: a format of Office, whose XML may not declare entities.
    :raises Unreadable: not a readable archive, encrypted, or larger than the limit when unpacked.
    """
    data = file.read_bytes()
    suffix = f".{kind.lower()}"
    if data.startswith(_COMPOUND_FILE):
        raise Unreadable(
            f"the file has a password or is of an older format than {kind}",
            f"remove its password, or save it as {suffix}",
        )
    cure = f"open it and save it again as {suffix}, or convert it"
    try:
        _check(data, file.max_bytes, office=office)
        with quiet():
            yield io.BytesIO(data)
    except Unreadable:
        raise
    except Exception as error:  # hostile files make the parsers raise anything
        raise Unreadable(f"not a readable {kind} ({type(error).__name__})", cure) from None


def _check(data: bytes, max_bytes: int, *, office: bool) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise Unreadable(f"it has over {_MOST_MEMBERS:,} parts", "split it")
        # zipfile rejects members larger than declared
        if sum(member.file_size for member in members) > max_bytes:
            raise too_large("the unpacked file", max_bytes)
        for member in members:
            if member.flag_bits & 1:
                raise Unreadable("the file is encrypted", "remove its password")
            if office and member.filename.endswith(_OF_XML):
                with archive.open(member) as part:
                    if _DECLARES.search(part.read(_PROLOGUE_BYTES)):
                        raise Unreadable(
                            f"{member.filename!r} declares XML entities",
                            "save it again with an Office program, which never writes them",
                        )
