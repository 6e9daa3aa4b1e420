"""Finds the messages of chats that are exported as JSON, by the names of their fields.

Known are records of Slack, Teams and Skype, Telegram, Signal, Discord, Mattermost, Rocket.Chat,
Google Chat and Messenger. So is any record of an author, a time of day and a text.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from expertrag_index.loaders.chats import ExportedMessage, are_people
from expertrag_index.loaders.html import page_of

_Read = TypeVar("_Read")

_AUTHORS = (
    "userprofile", "imdisplayname", "displayname", "from", "author", "sender", "sendername",
    "senderfullname", "fromname", "creator", "username", "user", "u", "nick", "speaker", "actor",
    "fromid",
)  # fmt: skip
_TIMES = (
    "ts", "timestamp", "date", "time", "datetime", "createdat", "createat", "created",
    "createddatetime", "createdate", "createddate", "creationtime", "sentat", "sent", "datesent",
    "timestampms", "originservertts", "originalarrivaltime", "when",
)  # fmt: skip
_TEXTS = ("text", "message", "msg", "body", "content", "messagetext")
_THREADS = ("threadts", "tmid", "rootid", "replytoid")
_REPLIES = ("replytomessageid", "replyto", "inreplyto", "reference", "quotedmessageid", "quote")
_IDS = ("id", "messageid", "eventid", "guid")
_CHANNELS = ("channel", "channelname", "room", "roomname", "conversation", "chat", "chatname")
_OF_CONVERSATIONS = (*_CHANNELS, "displayname", "title", "topic")
_NAMES = (
    "realname", "displayname", "nickname", "fullname", "name", "username", "login", "email", "id",
)  # fmt: skip
_FILES = (
    "files", "attachments", "file", "filename", "photo", "embeds", "poll", "stickeremoji", "action",
    "title", "members", "forwardedfrom",
)  # fmt: skip
_OF_FILES = (
    "title", "name", "filename", "pretext", "text", "fallback", "description", "question", "value",
)  # fmt: skip
_NOT_OF_CHATS = frozenset({
    "abstract", "description", "headline", "level", "logger", "price", "rating", "score",
    "severity", "stars", "subject", "summary", "title", "url",
})  # fmt: skip
"""Fields of articles, reviews, tickets, e-mails and logs, which also have an author and a time."""
_LONGEST_NAME = 80
_EPOCH = re.compile(r"1\d{9}(?:\.\d+|\d{3}|\d{6})?")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d)?(?:[.,]\d+)?\s?(Z|[+-]00:?00|UTC)?")
_CLOCK = re.compile(r"\d{1,2}[:.]\d\d")
_LONGEST_TIME = 60
_FORMATS = {"%A, %B %d, %Y at %I:%M:%S %p UTC": True, "%d.%m.%Y %H:%M:%S": False}
"""Of Google and Telegram, and whether they are UTC."""
_MARKUP = re.compile(r"<([@#!]?)([^<>|\s]+)(?:\|([^<>]*))?>")
_ENTITY = re.compile(r"&(?:amp|apos|gt|lt|nbsp|quot|#\d+);")
_TAGS = re.compile(r"<(?:p|div|span|a|at|br|blockquote|attachment|img)\b[^<>]*>", re.IGNORECASE)


def is_chat(records: Sequence[object]) -> bool:
    """Whether most records are messages, and their authors answer each other."""
    each = [messages_of(record, {}) for record in records if not _is_setting(record)]
    all_messages = [message for messages in each for message in messages]
    if not all_messages or 2 * sum(map(bool, each)) < len(each):
        return False
    if all(map(_is_of_slack, records)):
        return True
    others = sum(not _NOT_OF_CHATS.isdisjoint(_fields(record)) for record in records)
    return 2 * others < len(records) and are_people(all_messages)


def messages_of(record: object, names: Mapping[str, str]) -> list[ExportedMessage]:
    """Return the message of a record, with the replies in it; none if it is not a message.

    :param names: the names of users by their ids.
    """
    fields = _fields(record)
    at = _first(_time, fields, _TIMES)
    who = _first(lambda value: _name(value, names), fields, _AUTHORS)
    body = next((fields[name] for name in _TEXTS if name in fields), "")
    if at is None or not who or not isinstance(body, str | list | dict):
        return []
    said = [_text(body), *(text for name in _FILES for text in _strings(fields.get(name), name))]
    text = "\n".join(dict.fromkeys(filter(None, map(str.strip, said))))
    is_of_slack = _is_of_slack(record)
    own = str(fields["ts"]) if is_of_slack else _first(_identifier, fields, _IDS) or ""
    thread, reply = (_first(_identifier, fields, keys) or "" for keys in (_THREADS, _REPLIES))
    message = ExportedMessage(
        when=at[0],
        who=who,
        text=_without_markup(text, names) if is_of_slack else text,
        id=own,
        answers=reply if thread == own else thread or reply,
        in_thread=thread not in ("", own),
        channel=_first(lambda value: _name(value, {}), fields, _CHANNELS) or "",
        is_utc=at[1],
    )
    inner = fields.get("replies")
    replies = (
        [each for item in inner for each in messages_of(item, names)]
        if isinstance(inner, list)
        else []
    )
    return [message] * bool(text) + [each._replace(channel=message.channel) for each in replies]


def names_in(records: Iterable[object]) -> dict[str, str]:
    """Return the names of users by their ids, from Slack's list of users or its messages."""
    names: dict[str, str] = {}
    for record in records:
        if isinstance(record, dict):
            user = record.get("user", record.get("id"))
            profile = record.get("user_profile", record.get("profile"))
            name = _name(profile, {}) or _name(record.get("real_name"), {})
            if isinstance(user, str) and name:
                names[user] = name
    return names


def name_of(about: Mapping[str, object]) -> str:
    """Return the name of the conversation that an object holds; empty if it has none."""
    return (
        _first(lambda value: _name(value, {}), _fields(about), (*_OF_CONVERSATIONS, "name")) or ""
    )


def _is_setting(record: object) -> bool:
    """Whether a record tells of a user or a channel, as Mattermost writes them above posts."""
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        return False
    return record["type"] in record and record["type"] not in ("post", "direct_post", "message")


def _fields(record: object) -> dict[str, object]:
    """Return the fields that have a value, by the letters of their names.

    A record may be within one that tells its type: ``{"type": "post", "post": {…}}``.
    """
    if not isinstance(record, dict):
        return {}
    kind = record.get("type")
    inner = record.get(kind) if isinstance(kind, str) else None
    own = inner if isinstance(inner, dict) else record
    blank: tuple[object, ...] = (None, "", [], {})
    return {_key(name): value for name, value in own.items() if value not in blank}


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _first(
    read: Callable[[object], _Read | None], fields: Mapping[str, object], keys: Iterable[str]
) -> _Read | None:
    """Return what is read first of some fields; None if nothing is."""
    return next((value for key in keys if (value := read(fields.get(key)))), None)


def _time(value: object) -> tuple[str, bool] | None:
    """Write a time as ``2024-03-12 14:05``, and tell whether it is UTC; None if it is not one."""
    if isinstance(value, dict):
        return _time(value.get("$date"))  # as MongoDB writes it
    text = str(value).strip() if isinstance(value, str | int | float) else ""
    if _EPOCH.fullmatch(text):
        seconds = int(text[:10])
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}", True
    if iso := _ISO.match(text):
        return f"{iso[1]} {iso[2]}", iso[3] is not None
    if len(text) > _LONGEST_TIME or not _CLOCK.search(text):
        return None
    text = " ".join(text.split())
    for form, is_utc in _FORMATS.items():
        with suppress(ValueError):
            return f"{datetime.strptime(text, form):%Y-%m-%d %H:%M}", is_utc
    return text, False


def _name(value: object, names: Mapping[str, str]) -> str:
    """Return the name of a user or a channel; empty if a value is not one."""
    if isinstance(value, str):
        name = " ".join(names.get(value, value).split())
        return name if len(name) <= _LONGEST_NAME else ""
    if not isinstance(value, dict):
        return ""
    fields = {_key(name): inner for name, inner in value.items()}
    own = _first(lambda inner: inner if isinstance(inner, str) else None, fields, _NAMES)
    inner = own or _first(
        lambda each: _name(each, names) if isinstance(each, dict) else None, fields, fields
    )
    return _name(inner, names) if inner else ""


def _identifier(value: object) -> str:
    if isinstance(value, dict):
        return _first(_identifier, {_key(name): each for name, each in value.items()}, _IDS) or ""
    return str(value) if isinstance(value, str | int) else ""


def _text(body: object) -> str:
    """Return the text of a message: a string, pieces of one, or an object around it."""
    if isinstance(body, list):
        return "".join(map(_text, body))
    if isinstance(body, dict):
        return next((_text(body[name]) for name in ("content", "text", "body") if name in body), "")
    if not isinstance(body, str):
        return ""
    if not _TAGS.search(body):
        return html.unescape(body) if _ENTITY.search(body) else body
    page = page_of(f"<body>{body}".encode(), Counter())[1]
    return page if page.strip() else body


def _strings(value: object, name: str) -> Iterator[str]:
    """Yield the names and texts of what is attached to a message."""
    if isinstance(value, str) and (name in _FILES or name in _OF_FILES):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, name)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if _key(key) in _OF_FILES or isinstance(inner, list):
                yield from _strings(inner, _key(key))


def _is_of_slack(record: object) -> bool:
    if not isinstance(record, dict) or record.get("type") != "message":
        return False
    return isinstance(record.get("ts"), str) and _EPOCH.fullmatch(record["ts"]) is not None


def _without_markup(text: str, names: Mapping[str, str]) -> str:
    """Write what Slack marks as it is shown: ``<@U123>`` is ``@Ada``."""

    def expand(mark: re.Match[str]) -> str:
        sign, target, label = mark.groups()
        if sign == "@":
            return f"@{label or names.get(target, target)}"
        if sign:
            return f"{'#' if sign == '#' else ''}{label or target}"
        return f"{label} ({target})" if label and label not in target else target

    return html.unescape(_MARKUP.sub(expand, text))
