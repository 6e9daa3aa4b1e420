"""Finds the conversations of a JSON file, and reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from expertrag_index.loaders.base import Report, SourceFile, Unreadable
from expertrag_index.loaders.chat_records import is_chat, messages_of, name_of, names_in
from expertrag_index.loaders.chats import ExportedMessage, conversations
from expertrag_index.loaders.fields import flatten_record, key_of, reads_like_prose, text_of
from expertrag_index.loaders.frontmatter import FrontMatter
from expertrag_index.loaders.records import record_document
from expertrag_index.loaders.scalars import metadata_within_limits
from expertrag_index.types import Document

HEAD = 100
"""Records that tell whether a file is a chat."""
_MESSAGES = ("messages", "messagelist", "value", "posts", "items", "events", "conversation", "chat")
_GROUPS = ("chats", "conversations", "channels", "rooms", "leftchats", "left_chats", "list")
_SAID = ("about", "description", "pinned", "purpose", "topic")
_DEEPEST = 4
_LARGEST_LIST_OF_USERS = 1 << 24


class Chat(NamedTuple):
    """The records of a conversation, and the other fields of the object that holds them.

    Without records: the fields around several conversations.
    """

    records: list[object]
    about: dict[str, object]


def chats_in(content: object, depth: int = 0) -> list[Chat]:
    """Find the conversations of a JSON value: a list of messages, or objects that hold some."""
    if isinstance(content, list):
        if is_chat(content[:HEAD]):
            return [Chat(content, {})]
        inner = content if depth else []
        return [chat for item in inner if isinstance(item, dict) for chat in chats_in(item, depth)]
    if not isinstance(content, dict) or depth > _DEEPEST:
        return []
    for name, value in content.items():
        if name.casefold() in _MESSAGES and isinstance(value, list) and is_chat(value[:HEAD]):
            return [Chat(value, {key: each for key, each in content.items() if key != name})]
    groups = (value for name, value in content.items() if name.casefold() in _GROUPS)
    chats = [chat for value in groups for chat in chats_in(value, depth + 1)]
    if not chats or depth:
        return chats
    rest = {name: value for name, value in content.items() if name.casefold() not in _GROUPS}
    return [*chats, Chat([], rest)] if _lines(flatten_record(rest)) else chats


def read_chats(file: SourceFile, chats: list[Chat], report: Report) -> Iterator[Document]:
    """Read the conversations of a file, each as a document."""
    for number, (records, about) in enumerate(chats, 1):
        if not records:
            yield record_document(file, about, 0, report)
            continue
        fields = flatten_record(about)
        metadata = metadata_within_limits(fields, report)
        matter = FrontMatter(name_of(about), None, metadata, _lines(fields))
        own = file if len(chats) == 1 else replace(file, id=f"{file.id}#{number}")
        yield from read_records(own, enumerate(records, 1), matter, report)


def _lines(fields: Mapping[str, object]) -> str:
    """Write what is said of a conversation, without ids and numbers, which are metadata."""
    said = {
        name: value
        for name, value in fields.items()
        if key_of(name) in _SAID or (isinstance(value, str) and reads_like_prose(value))
    }
    return text_of(said, as_row=True).text


def read_records(
    file: SourceFile, records: Iterable[tuple[int, object]], matter: FrontMatter, report: Report
) -> Iterator[Document]:
    """Read the records of a conversation; each that is not a message is a document of its own.

    :param records: with their numbers in the file.
    """
    names = _users_of(file)
    others: list[tuple[int, object]] = []

    def messages() -> Iterator[ExportedMessage]:
        for number, record in records:
            names.update(names_in([record]))
            batch = messages_of(record, names)
            yield from batch
            if not batch:
                others.append((number, record))

    yield from conversations(file, messages(), matter)
    for number, record in others:
        try:
            yield record_document(file, record, number, report)
        except Unreadable as error:
            report(f"record {number}: {error.reason}", error.cure)


def _users_of(file: SourceFile) -> dict[str, str]:
    """Return the names in the list of users that Slack puts next to the folders of channels."""
    path = file.path.parent.parent / "users.json"
    if "/" not in file.id or not file.name.endswith(".json") or path.is_symlink():
        return {}
    try:
        with path.open("rb") as stream:
            users = json.loads(stream.read(_LARGEST_LIST_OF_USERS))
    except (OSError, ValueError, RecursionError):
        return {}
    return names_in(users) if isinstance(users, list) else {}
