"""``expertrag index list``, ``show`` and ``skipped``: what a store holds, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict, Unpack

import click

from expertrag.api.documents import (
    ChunkPage,
    DocumentInfo,
    DocumentOrder,
    DocumentPage,
    DocumentText,
    GetDocumentRequest,
    ListChunksRequest,
    ListDocumentsRequest,
    ListSkippedRequest,
    SkippedPage,
)
from expertrag.cli.options import filter_option, flag, json_flag, store_argument
from expertrag.cli.output import note, print_found, printable

_FIRST = ListDocumentsRequest()
_page_size_flag = flag(
    "--page-size", type=int, default=_FIRST.page_size, help="Most entries to list, up to 1,000."
)
_page_token_flag = flag(
    "--page-token", default="", metavar="TOKEN", help="List the page after the one that named it."
)


@click.command("list")
@store_argument
@filter_option
@flag(
    "--order",
    type=click.Choice([order.value for order in DocumentOrder]),
    default=_FIRST.order.value,
    help="Order of the documents.",
)
@_page_size_flag
@_page_token_flag
@json_flag
def list_documents(
    store: Path,
    metadata_filter: Mapping[str, object] | None,
    order: str,
    page_size: int,
    page_token: str,
    as_json: bool,
) -> None:
    """List the documents of a store, a page at a time."""
    from expertrag.stores import documents
    from expertrag_index.store.index import Index

    request = ListDocumentsRequest(
        metadata_filter or {}, DocumentOrder(order), page_size, page_token
    )
    with Index.open(store) as opened:
        page = documents.list_documents(opened, request)
    print_found(page, as_json, _page_lines(page))
    if page.next_page_token and not as_json:
        note(f"more with --page-token {page.next_page_token}")


class _Part(TypedDict):
    """What ``index show`` prints of a document: offsets of its text, or a page of its chunks."""

    start: int
    end: int | None
    page_size: int
    page_token: str


@click.command()
@store_argument
@click.argument("document")
@flag("--start", type=int, default=0, help="First character to show.")
@flag("--end", type=int, help="Character to stop before.")
@flag("--chunks", is_flag=True, help="Show the chunks that are searched, with their offsets.")
@_page_size_flag
@_page_token_flag
@json_flag
def show(
    store: Path,
    document: str,
    chunks: bool,
    as_json: bool,
    **part: Unpack[_Part],
) -> None:
    """Show DOCUMENT, the id of a document of a store: its text as it was indexed.

    Offsets are the same as in passages and citations.
    """
    from expertrag.stores import documents
    from expertrag_index.store.index import Index

    with Index.open(store) as opened:
        if chunks:
            request = ListChunksRequest(document, part["page_size"], part["page_token"])
            page = documents.list_chunks(opened, request)
            print_found(page, as_json, _chunk_lines(page))
            rest = page.next_page_token and f"more with --page-token {page.next_page_token}"
        else:
            end = part["end"]
            text = documents.get_document(opened, GetDocumentRequest(document, part["start"], end))
            print_found(text, as_json, _text_lines(text))
            length = text.document.characters
            cut = text.end < min(length if end is None else end, length)
            rest = f"more with --start {text.end}" if cut else ""
    if rest and not as_json:
        note(rest)


@click.command("skipped")
@store_argument
@_page_size_flag
@_page_token_flag
@json_flag
def list_skipped(store: Path, page_size: int, page_token: str, as_json: bool) -> None:
    """List the files that were skipped when the sources of a store were last read.

    Each comes with the reason and what to do about it. Losses come first, then notes on files that
    need not be in the store.
    """
    from expertrag.stores import documents
    from expertrag_index.store.index import Index

    with Index.open(store) as opened:
        page = documents.list_skipped(opened, ListSkippedRequest(page_size, page_token))
    print_found(page, as_json, _list_skipped_lines(page))
    if page.next_page_token and not as_json:
        note(f"more with --page-token {page.next_page_token}")


def _list_skipped_lines(page: SkippedPage) -> Iterator[str]:
    for file in page.files:
        kind = "note" if file.notice else "skipped"
        yield printable(f"{kind} {file.source}: {file.reason}; {file.cure}")
    shown, notes = len(page.files), sum(file.notice for file in page.files)
    if shown < page.total:
        yield f"{shown:,} of {page.total:,} listed"
    else:
        yield f"{shown - notes:,} skipped" + (f", {notes:,} noted" if notes else "")


def _page_lines(page: DocumentPage) -> Iterator[str]:
    yield from map(_line, page.documents)
    shown, total = len(page.documents), page.total
    yield f"{total:,} documents" if shown == total else f"{shown:,} of {total:,} documents"


def _line(document: DocumentInfo) -> str:
    title = f"  {document.title}" if document.title else ""
    domain = f"  [{document.domain}]" if document.domain else ""
    line = f"{document.id}{title}{domain}  {document.characters:,} characters"
    return printable(
        f"{line} in {document.chunks:,} {'chunk' if document.chunks == 1 else 'chunks'}"
    )


def _text_lines(text: DocumentText) -> Iterator[str]:
    document = text.document
    for name, value in (
        ("id", document.id),
        ("title", document.title),
        ("domain", document.domain),
        ("source", document.source),
        *document.metadata.items(),
    ):
        if value not in (None, ""):
            yield printable(f"{name}: {value}")
    yield f"characters: {text.start:,} to {text.end:,} of {document.characters:,}"
    yield ""
    yield printable(text.text)


def _chunk_lines(page: ChunkPage) -> Iterator[str]:
    for chunk in page.chunks:
        where = "" if chunk.page is None else f"  page {chunk.page}"
        yield f"chunk {chunk.ordinal}  characters {chunk.start:,} to {chunk.end:,}{where}"
        yield printable(chunk.text)
        yield ""
