"""Writes conversations: a line for each message with when, who and to whom, next to its neighbours.

A message alone says little: "I can" answers the question above it. So a conversation is one
document, whose paragraphs are messages that follow each other without a long pause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import escape_headings
from expertrag_index.types import Document, MetadataValue

_PAUSE = timedelta(hours=3)
_PARAGRAPH_CHARS = 200
"""A paragraph ends after so many, so that a chunk of 256 tokens ends between messages."""
_FOR_AN_ANSWER = 1.5
"""Times as long is a paragraph that would end with a question."""
_MOST_MESSAGES = 10_000
"""Messages of a document; a longer conversation has several."""
_MOST_NAMES = 100
_QUOTED_CHARS = 60
_BLANK_LINES = re.compile(r"\n\s*\n")
_NAMES_NOTHING = re.compile(
    r"_?chat|messages?(?:_?\d+)?|result|data|export|\d{4}-\d\d-\d\d", re.IGNORECASE
)
"""Names that programs give to their exports; the folder has the name of the conversation."""


class ExportedMessage(NamedTuple):
    """A message of a conversation.

    ``when``: ``2024-03-12 14:05``, or as it is written; ``answers``: the ``id`` of another message,
    in whose thread it stands if ``in_thread``.
    """

    when: str
    who: str
    text: str
    id: str = ""
    answers: str = ""
    in_thread: bool = False
    channel: str = ""
    is_utc: bool = False


def are_people(messages: Sequence[ExportedMessage]) -> bool:
    """Whether so few authors write that they answer each other, unlike the authors of reviews."""
    authors = {message.who for message in messages if message.who}
    return len(messages) > 1 and 2 * len(authors) <= len(messages) + 3


def conversations(
    file: SourceFile, messages: Iterable[ExportedMessage], matter: FrontMatter
) -> Iterator[Document]:
    """Write the messages of a file, a document for each channel.

    :param matter: what the file says of all of them; its title is the name of the conversation.
    """
    rest = iter(messages)
    number = 0
    while batch := list(islice(rest, _MOST_MESSAGES)):
        number += 1
        channels: dict[str, list[ExportedMessage]] = {}
        for message in batch:
            channels.setdefault(message.channel, []).append(message)
        for channel, own in channels.items():
            written = _conversation(file, own, channel, matter)
            part = f"#{channel}" if len(channels) > 1 and channel else ""
            part += f"#{number}" if number > 1 else ""
            yield replace(written, id=f"{file.id}{part}")


def _conversation(
    file: SourceFile, messages: list[ExportedMessage], channel: str, matter: FrontMatter
) -> Document:
    names = list(dict.fromkeys(message.who for message in messages if message.who))
    facts: dict[str, MetadataValue] = {"participants": [*names[:_MOST_NAMES]]}
    times = [time for message in messages if (time := _time(message))]
    if times and times[0] > times[-1]:  # some programs write the newest first
        messages, times = messages[::-1], times[::-1]
    if times:
        facts |= {"date": f"{times[-1]:%Y-%m-%d}", "first_date": f"{times[0]:%Y-%m-%d}"}
    title = channel or matter.title
    if title and not any(name.startswith("channel.") for name in matter.metadata):
        facts["channel"] = title
    head = [f"Participants: {', '.join(names[:_MOST_NAMES])}"] if names else []
    head += ["Times: UTC"] if all(message.is_utc for message in messages) else []
    matter = replace(matter, title=title, metadata={**facts, **matter.metadata})
    above = "\n".join(head)
    text = escape_headings(
        "\n\n".join(filter(None, (above, *_paragraphs(_sort_threads(messages)))))
    )
    return document(file, matter, _name_of(file), matter.above(text))


def _name_of(file: SourceFile) -> str:
    """Return the name of a file, or of its folder if a program has named the file."""
    folder = PurePosixPath(file.id).parent.name
    return folder if folder and _NAMES_NOTHING.fullmatch(file.stem) else file.stem


def _sort_threads(messages: Sequence[ExportedMessage]) -> list[ExportedMessage]:
    """Put the messages of a thread below the one that they answer."""
    known = {message.id for message in messages if message.id and not message.in_thread}
    threads: dict[str, list[ExportedMessage]] = {}
    for message in messages:
        if message.in_thread and message.answers in known:
            threads.setdefault(message.answers, []).append(message)
    ordered: list[ExportedMessage] = []
    for message in messages:
        if not (message.in_thread and message.answers in known):
            ordered.append(message)
            ordered += threads.pop(message.id, []) if message.id else []
    return ordered


def _paragraphs(messages: Sequence[ExportedMessage]) -> Iterator[str]:
    """Join neighbours; a paragraph does not end with a question, whose answer follows."""
    by_id = {message.id: message for message in messages if message.id}
    lines: list[str] = []
    size = 0
    above: ExportedMessage | None = None
    for message in messages:
        asked = above is not None and above.text.endswith("?")
        is_full = size > _PARAGRAPH_CHARS * (_FOR_AN_ANSWER if asked else 1)
        if above is not None and (is_full or _is_pause(above, message)):
            yield "\n".join(lines)
            lines, size = [], 0
        lines.append(_line(message, by_id.get(message.answers), above))
        size += len(lines[-1])
        above = message
    yield "\n".join(lines)


def _is_pause(above: ExportedMessage, message: ExportedMessage) -> bool:
    before, now = _time(above), _time(message)
    is_same_thread = message.in_thread and message.answers in (above.id, above.answers)
    return bool(before and now and abs(now - before) > _PAUSE) and not is_same_thread


def _line(
    message: ExportedMessage, answered: ExportedMessage | None, above: ExportedMessage | None
) -> str:
    """Write a message; what it answers is quoted if it does not stand right above."""
    to = ""
    if answered is not None and answered.who:
        to = f" (to {answered.who})"
        if answered is not above and not message.in_thread:
            said = " ".join(answered.text[: 4 * _QUOTED_CHARS].split())
            short = f"{said[:_QUOTED_CHARS].rstrip()}…" if len(said) > _QUOTED_CHARS else said
            to = f' (to {answered.who}, "{short}")'
    text = _BLANK_LINES.sub("\n", message.text.strip())
    who = f"{message.who}{to}:" if message.who else ""
    return " ".join(filter(None, (message.when, who, text)))


def _time(message: ExportedMessage) -> datetime | None:
    try:
        return datetime.fromisoformat(message.when)
    except ValueError:
        return None
