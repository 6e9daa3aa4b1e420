"""Writes the parts of an e-mail that are not plain text as plain text."""

from __future__ import annotations

import re
from email.message import Message

from expertrag_index.loaders.mail_heads import decode_head

_COMMAND = re.compile(r"<(/?)([A-Za-z0-9-]{1,60})>|<<")
_NEW_LINES = re.compile(r"\n+")
_FENCES = re.compile(r"^[^\S\n]*(`{3,})", re.MULTILINE)
_EVENTS = ("VEVENT", "VTODO", "VJOURNAL")
_SHOWN = {
    "SUMMARY": "Summary", "DTSTART": "Start", "DTEND": "End", "DUE": "Due", "LOCATION": "Location",
    "ORGANIZER": "Organizer", "ATTENDEE": "Attendee",
}  # fmt: skip
_FOLDED = re.compile(r"\n[ \t]")
_ESCAPED = re.compile(r"\\([\\;,nN])")
_NAME = re.compile(r';CN=(?:"([^"]*)"|([^;:"]*))', re.IGNORECASE)
_ZONE = re.compile(r';TZID="?([^;:"]*)', re.IGNORECASE)
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")


def join_flowed(text: str, *, delete_space: bool) -> str:
    """Join the lines of a paragraph that ``format=flowed`` has broken (RFC 3676).

    :param delete_space: the space at the end of a line is not part of the text (``DelSp=yes``).
    """
    pieces: list[str] = []
    open_depth = -1  # quotation marks of the line that the next one continues
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        content = line[depth:].removeprefix(" ")
        is_signature = content == "-- "
        if depth != open_depth or is_signature:
            pieces.append("\n" + ">" * depth + " " * bool(depth))
        is_open = content.endswith(" ") and not is_signature
        open_depth = depth if is_open else -1
        pieces.append(content[:-1] if is_open and delete_space else content)
    return "".join(pieces)[1:]


def read_enriched(text: str) -> str:
    """Return the text of ``text/enriched`` without its commands (RFC 1896)."""
    text = _NEW_LINES.sub(lambda breaks: breaks[0][1:] or " ", text)
    pieces: list[str] = []
    end, parameters = 0, False
    for command in _COMMAND.finditer(text):
        pieces.append("" if parameters else text[end : command.start()])
        pieces.append("<" if command[0] == "<<" and not parameters else "")
        if (command[2] or "").lower() == "param":
            parameters = not command[1]
        end = command.end()
    return "".join([*pieces, text[end:]])


def fields(part: Message) -> str:
    """Write the blocks of fields of a report, such as ``message/delivery-status``."""
    payload = part.get_payload()
    if not isinstance(payload, list):
        return str(payload)
    blocks = [
        "\n".join(f"{name}: {decode_head(str(value))}" for name, value in block.raw_items())
        for block in payload
        if isinstance(block, Message)
    ]
    return "\n\n".join(filter(None, blocks))


def fence_file(name: str, text: str) -> str:
    """Write a file that is shown as it is, such as a patch, below its name."""
    longest = max((len(mark) for mark in _FENCES.findall(text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{name}:\n\n{fence}\n{text}\n{fence}"


def calendar(text: str) -> str:
    """Write what an invitation says: what, when, where and who, then its description (RFC 5545)."""
    lines: list[str] = []
    descriptions: list[str] = []
    components: list[str] = []
    for line in _FOLDED.sub("", text).split("\n"):
        head, _, value = line.partition(":")
        name, _, parameters = head.partition(";")
        name, value = name.strip().upper(), value.strip()
        if name == "BEGIN":
            components.append(value.upper())
        elif name == "END":
            del components[-1:]
        elif value and components[-1:] and components[-1] in _EVENTS:
            if name == "DESCRIPTION":
                descriptions.append(_value(value, ""))
            elif name in _SHOWN:
                lines.append(f"{_SHOWN[name]}: {_value(value, f';{parameters}')}")
    return "\n\n".join(["\n".join(lines), *descriptions])


def _value(value: str, parameters: str) -> str:
    if time := _TIME.fullmatch(value.strip()):
        year, month, day, hour, minute, utc = time.groups()
        zone = _ZONE.search(parameters)
        name = " UTC" if utc else f" {zone[1]}" if zone else ""
        return f"{year}-{month}-{day}" + (f" {hour}:{minute}{name}" if hour else "")
    address = value.strip()
    if address.lower().startswith("mailto:"):
        known = _NAME.search(parameters)
        address = address[len("mailto:") :]
        return f"{known[1] or known[2]} <{address}>" if known else address
    return _ESCAPED.sub(lambda mark: "\n" if mark[1] in "nN" else mark[1], value.strip())
