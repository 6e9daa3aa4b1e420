"""Write the share of an invented company, Quillhaven Ovens: files as its people would keep them.

    python lab/benchmarks/office_share.py --out FOLDER

The documents are in ``office/share/HALF-SUBJECT.txt``: ``=== PATH``, lines ``key: value``, a line
``---`` and the body. Mail, chats, and office formats are written from the body; every other file is
the body. ``=== @NAME`` is a template for documents with ``template: NAME``, whose values replace
``{key}`` in it; ``same: PATH`` is a copy of an earlier document. All documents of a file are of one
half, ``choose`` or ``test``, as are the questions on them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

from office_markup import Block, blocks
from office_ooxml import sheets, slides, word
from office_pages import notebook, odt, page, pdf

MATERIAL = Path(__file__).parent / "office"
HALVES = ("choose", "test")
_RENDERED: Mapping[str, Callable[[Mapping[str, str], Sequence[Block]], bytes]] = {
    ".docx": word,
    ".pptx": slides,
    ".xlsx": sheets,
    ".pdf": pdf,
    ".html": page,
    ".odt": odt,
    ".ipynb": lambda _, content: notebook(content),
}


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the share: its path, its half, and what it is written from."""

    path: str
    half: str
    meta: Mapping[str, str]
    body: str

    def content(self) -> bytes:
        """Return the bytes of the file."""
        suffix = Path(self.path).suffix
        if suffix in _RENDERED:
            return _RENDERED[suffix](self.meta, blocks(self.body))
        if suffix == ".eml":
            return mail(self.meta, self.body)
        if self.meta.get("kind") == "chat":
            return chat(self.body, lines=suffix == ".jsonl")
        return self.body.encode()


def main() -> None:
    """Write the share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args()
    written = write(given.out)
    kinds = {Path(path).suffix for path in written}
    print(f"{len(written)} files of {len(kinds)} types in {given.out}")


def write(folder: Path) -> list[str]:
    """Write every document, with its date as the file's; return their paths."""
    paths = []
    for document in documents():
        target = folder / document.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(document.content())
        when = datetime.fromisoformat(document.meta["date"]).replace(tzinfo=UTC).timestamp()
        os.utime(target, (when, when))
        paths.append(document.path)
    return paths


def documents() -> Iterator[Document]:
    """Yield all documents of the share."""
    shared: dict[str, str] = {}
    for pack in sorted((MATERIAL / "share").glob("*.txt")):
        half = pack.stem.partition("-")[0]
        for part in pack.read_text("utf-8").split("\n=== ")[1:]:
            head, _, body = part.partition("\n---\n")
            path, *lines = head.splitlines()
            body = body.rstrip("\n") + "\n"
            if path.startswith("@"):
                shared[path] = body
                continue
            meta = dict(line.split(": ", 1) for line in lines if line)
            if name := meta.get("template"):
                body = _filled(shared[f"@{name}"], meta)
            if original := meta.get("same"):
                body = shared[original]
            shared[path] = body
            yield Document(path, half, meta, body)


def mail(meta: Mapping[str, str], body: str) -> bytes:
    """Write a mail; with ``html: yes``, its plain part only points to the other one."""
    message = EmailMessage()
    for name in ("from", "to", "cc", "subject"):
        if name in meta:
            message[name.title()] = meta[name]
    when = datetime.fromisoformat(meta["date"]).replace(tzinfo=UTC)
    message["Date"] = when
    message["Message-ID"] = f"<{when:%Y%m%d%H%M}.{len(body)}@mail.quillhaven.example>"
    if meta.get("html"):
        message.set_content("This message is in HTML. Please use a client that shows it.\n")
        content = page({"title": meta["subject"], "date": meta["date"]}, blocks(body)).decode()
        message.add_alternative(content, subtype="html")
        message.set_boundary("=-quillhaven-part")
    else:
        message.set_content(body)
    return message.as_bytes()


def chat(body: str, *, lines: bool) -> bytes:
    """Write an export of a chat from lines ``time | name | text``."""
    rows = [line.split(" | ", 2) for line in body.splitlines() if line]
    messages = [{"ts": when, "user": user, "text": text} for when, user, text in rows]
    if lines:
        return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in messages).encode()
    exported = {"channel": "export", "messages": messages}
    return (json.dumps(exported, indent=1, ensure_ascii=False) + "\n").encode()


def _filled(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template


if __name__ == "__main__":
    main()
