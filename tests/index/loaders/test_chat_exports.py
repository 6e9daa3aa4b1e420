"""Chats that are exported as JSON, as each program writes them, and records that are not chats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from index.conftest import load_all, load_whole, parsed

from expertrag_index.types import Document


def read(path: Path, content: Any) -> list[Document]:
    """Write a value as JSON, or records as JSON lines, and read it without a failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_lines = path.suffix == ".jsonl"
    text = "\n".join(map(json.dumps, content)) if is_lines else json.dumps(content)
    documents, failures = parsed(path, text)
    assert failures == []
    return documents


def lines_of(document: Document) -> list[str]:
    return [line for line in document.text.split("\n") if line[:2] == "20"]


SLACK = [
    {"type": "message", "subtype": "channel_join", "user": "U2", "ts": "1750665000.000100",
     "text": "<@U2> has joined the channel"},
    {"type": "message", "user": "U1", "ts": "1750666320.000200", "thread_ts": "1750666320.000200",
     "text": "<@U2> who stands in? <https://a.b/c|the plan> &amp; <#C1|orders> <!here>",
     "user_profile": {"real_name": "Mathis Oberlin", "display_name": "mo"}, "reply_count": 1},
    {"type": "message", "user": "U3", "ts": "1750666330.000200", "text": "Lunch?",
     "user_profile": {"real_name": "Ines Roe", "display_name": ""}},
    {"type": "message", "user": "U2", "ts": "1750666520.000300", "thread_ts": "1750666320.000200",
     "text": "I can", "files": [{"id": "F1", "name": "plan.xlsx", "title": "plan.xlsx"}]},
    {"type": "message", "subtype": "bot_message", "username": "Jira", "ts": "1750666600.1",
     "text": "", "attachments": [{"title": "X-1", "text": "Igniters ordered"}]},
]  # fmt: skip


def test_a_day_of_slack(tmp_path: Path) -> None:
    (document,) = read(tmp_path / "2025-06-23.json", SLACK)
    assert lines_of(document) == [
        "2025-06-23 07:50 U2: @U2 has joined the channel",
        "2025-06-23 08:12 Mathis Oberlin: @U2 who stands in? the plan (https://a.b/c) & #orders"
        " here",
        "2025-06-23 08:15 U2 (to Mathis Oberlin): I can",
        "2025-06-23 08:12 Ines Roe: Lunch?",
        "2025-06-23 08:16 Jira: X-1",
    ]
    assert "plan.xlsx\n" in document.text
    assert document.text.endswith("X-1\nIgniters ordered")
    assert "Times: UTC" in document.text


def test_names_are_in_the_list_of_users_beside_the_channels(tmp_path: Path) -> None:
    users = [{"id": "U2", "name": "livia", "profile": {"real_name": "Livia Crane"}}]
    (tmp_path / "buying").mkdir()
    (tmp_path / "users.json").write_text(json.dumps(users))
    (tmp_path / "buying" / "2025-06-23.json").write_text(json.dumps(SLACK))
    (document,) = (each for each in load_whole(tmp_path) if each.title == "buying")
    assert lines_of(document)[2] == "2025-06-23 08:15 Livia Crane (to Mathis Oberlin): I can"
    assert "Mathis Oberlin: @Livia Crane who stands in?" in document.text
    (tmp_path / "users.json").write_text("{broken")
    (tmp_path / "buying" / "2025-06-24.json").write_text(json.dumps(SLACK[-2:-1]))
    documents = load_all(tmp_path)[0]
    assert [lines_of(each) for each in documents if "06-24" in each.id] == [
        ["2025-06-23 08:15 U2: I can"]
    ]


TELEGRAM = {"name": "Buying", "type": "private_group", "id": 77, "messages": [
    {"id": 1, "type": "service", "date": "2025-06-23T08:00:00", "actor": "Ada",
     "action": "create_group", "title": "Buying", "members": ["Bo"], "text": ""},
    {"id": 2, "type": "message", "date": "2025-06-23T08:12:00", "date_unixtime": "1750659120",
     "from": "Ada", "from_id": "user1", "text": ["who? ", {"type": "link", "text": "a.b"}]},
    {"id": 3, "type": "message", "date": "2025-06-23T08:13:00", "from": "Bo", "text": "me",
     "reply_to_message_id": 2},
    {"id": 4, "type": "message", "date": "2025-06-23T08:14:00", "from": None, "from_id": "user9",
     "text": "", "file": "files/plan.pdf"},
]}  # fmt: skip
GRAPH = {"@odata.context": "https://graph", "value": [
    {"id": "2", "replyToId": "1", "createdDateTime": "2025-06-23T08:13:00.1Z", "subject": None,
     "from": {"application": None, "user": {"id": "b", "displayName": "Bo"}},
     "body": {"contentType": "html", "content": "<p>me, <b>except</b> Friday</p>"}},
    {"id": "1", "replyToId": None, "createdDateTime": "2025-06-23T08:12:00.1Z",
     "from": {"user": {"displayName": "Ada"}}, "body": {"contentType": "text", "content": "who?"}},
]}  # fmt: skip
SKYPE = {"userId": "8:ada", "conversations": [{"id": "19:x", "displayName": "Buying",
    "MessageList": [
        {"id": "1", "displayName": "Ada", "originalarrivaltime": "2025-06-23T08:12:00.1Z",
         "messagetype": "RichText", "content": "who &amp; when?", "from": "8:live:ada"},
        {"id": "2", "displayName": "Bo", "originalarrivaltime": "2025-06-23T08:13:00.1Z",
         "messagetype": "Text", "content": "me", "from": "8:live:bo"}]}]}  # fmt: skip
DISCORD = {"guild": {"id": "1", "name": "Ovens"}, "channel": {"name": "Buying", "topic": "Orders"},
    "messages": [
        {"id": "10", "type": "Default", "timestamp": "2025-06-23T08:12:00.1+02:00",
         "content": "who?", "author": {"id": "5", "name": "ada5", "nickname": "Ada"}},
        {"id": "11", "type": "Reply", "timestamp": "2025-06-23T08:13:00.1+02:00",
         "content": "me", "author": {"id": "6", "name": "bo6", "nickname": "Bo"},
         "reference": {"messageId": "10"}, "attachments": [{"fileName": "plan.pdf"}]}],
    "messageCount": 2}  # fmt: skip
GOOGLE = {"messages": [
    {"creator": {"name": "Ada", "email": "a@x.org", "user_type": "Human"}, "text": "who?",
     "created_date": "Monday, June 23, 2025 at 8:12:05\u202fAM UTC", "message_id": "s/1"},
    {"creator": {"name": "Bo", "email": "b@x.org"}, "text": "me",
     "created_date": "Monday, June 23, 2025 at 8:13:05\u202fAM UTC", "message_id": "s/2"},
]}  # fmt: skip
MESSENGER = {"participants": [{"name": "Ada"}], "title": "Buying", "messages": [
    {"sender_name": "Bo", "timestamp_ms": 1750666380000, "content": "me"},
    {"sender_name": "Ada", "timestamp_ms": 1750666320000, "content": "who?"},
]}  # fmt: skip
ROCKET = [
    {"_id": "a", "msg": "who?", "ts": {"$date": "2025-06-23T08:12:00Z"}, "u": {"name": "Ada"}},
    {"_id": "b", "tmid": "a", "msg": "me", "ts": {"$date": "2025-06-23T08:13:00Z"},
     "u": {"username": "Bo"}},
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "title", "lines"),
    [
        (TELEGRAM, "Buying", [
            "2025-06-23 08:00 Ada: create_group", "2025-06-23 08:12 Ada: who? a.b",
            "2025-06-23 08:13 Bo (to Ada): me", "2025-06-23 08:14 user9: files/plan.pdf"]),
        (GRAPH, "a", ["2025-06-23 08:12 Ada: who?",
                      "2025-06-23 08:13 Bo (to Ada): me, except Friday"]),
        (SKYPE, "Buying", ["2025-06-23 08:12 Ada: who & when?", "2025-06-23 08:13 Bo: me"]),
        (DISCORD, "Buying", ["2025-06-23 08:12 Ada: who?", "2025-06-23 08:13 Bo (to Ada): me"]),
        (GOOGLE, "a", ["2025-06-23 08:12 Ada: who?", "2025-06-23 08:13 Bo: me"]),
        (MESSENGER, "Buying", ["2025-06-23 08:12 Ada: who?", "2025-06-23 08:13 Bo: me"]),
        (ROCKET, "a", ["2025-06-23 08:12 Ada: who?", "2025-06-23 08:13 Bo (to Ada): me"]),
    ],
    ids=["telegram", "graph", "skype", "discord", "google", "messenger", "rocket"],
)  # fmt: skip
def test_an_export(tmp_path: Path, content: Any, title: str, lines: list[str]) -> None:
    (document,) = read(tmp_path / "a.json", content)
    assert (document.id, document.title) == ("a.json", title)
    assert lines_of(document) == lines
    assert (document.metadata["first_date"], document.metadata["date"]) == ("2025-06-23",) * 2


def test_all_chats_of_telegram(tmp_path: Path) -> None:
    other = {**TELEGRAM, "name": "Selling", "about": "Orders of bakeries, and what they say."}
    content = {"about": "Here is the data you requested.", "chats": {"list": [TELEGRAM, other]}}
    first, second, rest = read(tmp_path / "result.json", content)
    assert [first.title, second.title] == ["Buying", "Selling"]
    assert [first.id, second.id] == ["result.json#1", "result.json#2"]
    assert second.text.startswith("about: Orders of bakeries, and what they say.\n\nParticipants")
    assert "Here is the data you requested." in rest.text


def test_posts_of_mattermost_by_channel(tmp_path: Path) -> None:
    def post(channel: str, **fields: Any) -> dict[str, Any]:
        own = {"channel": channel, "create_at": 1750666320000, **fields}
        return {"type": "post", "post": own}

    reply = {"user": "bo", "message": "me", "create_at": 1750666380000}
    buying, town, version = read(tmp_path / "a.jsonl", [
        {"type": "version", "version": 1},
        post("buying", user="ada", message="who?", replies=[reply]),
        post("town", user="ada", message="hi"),
        post("town", user="cy", message="hello"),
    ])  # fmt: skip
    assert (buying.id, town.id, version.id) == ("a.jsonl#buying", "a.jsonl#town", "a.jsonl#1")
    assert lines_of(buying) == ["2025-06-23 08:12 ada: who?", "2025-06-23 08:13 bo: me"]


def test_lines_of_any_program(tmp_path: Path) -> None:
    (document,) = read(tmp_path / "buying.jsonl", [
        {"ts": "2025-06-23T08:12", "user": "Ada", "text": "who?"},
        {"ts": "2025-06-23T08:13", "user": "Bo", "text": "me"},
        {"ts": "2025-06-23T08:14", "user": "Ada", "text": "thanks\n\nand cake"},
    ])  # fmt: skip
    assert document.text == (
        "Participants: Ada, Bo\n\n2025-06-23 08:12 Ada: who?\n2025-06-23 08:13 Bo: me\n"
        "2025-06-23 08:14 Ada: thanks\nand cake"
    )


def test_a_broken_line_does_not_lose_the_others(tmp_path: Path) -> None:
    chat = [{"time": f"2025-06-23 08:1{at}", "sender": "Ada", "body": "hi"} for at in range(3)]
    text = "\n".join([*map(json.dumps, chat[:2]), "{broken", json.dumps(chat[2])])
    (document,), (failure,) = parsed(tmp_path / "a.jsonl", text)
    assert document.text.count("Ada: hi") == 3
    assert failure.reason.startswith("line 3: broken JSON")


def test_a_record_that_is_not_a_message_is_a_document(tmp_path: Path) -> None:
    message = {"time": "2025-06-23 08:12", "sender": "Ada", "body": "hi"}
    chat, other = read(tmp_path / "a.jsonl", [message, message, {"text": "Exported by hand."}])
    assert chat.id == "a.jsonl"
    assert (other.id, other.text) == ("a.jsonl#3", "Exported by hand.")


@pytest.mark.parametrize(
    "record",
    [
        {"from": "a@x.org", "date": "2025-06-23 08:12", "subject": "Ovens", "body": "Hello."},
        {"user": "ada", "timestamp": "2025-06-23T08:12:00Z", "message": "failed", "level": "warn"},
        {"author": "Ada", "date": "2025-06-23T08:12:00Z", "title": "Ovens", "text": "An article."},
        {"user": "ada", "timestamp": 1750666320, "text": "Great lamp.", "rating": 5},
        {"author": "Ada", "date": "2025-06-23", "text": "A comment of a day."},
        {"user": "ada", "time": "soon", "text": "Without a time."},
        {"timestamp": "2025-06-23T08:12:00Z", "text": "Without an author."},
        {"user": "ada", "timestamp": "2025-06-23T08:12:00Z", "message": 5},
        {"role": "user", "content": "Said to a model."},
    ],
    ids=["mail", "log", "article", "review", "day", "no time", "no author", "number", "model"],
)
def test_other_records_stay_documents(tmp_path: Path, record: dict[str, Any]) -> None:
    records = [record] * 4
    for name in ("a.jsonl", "a.json"):
        assert len(read(tmp_path / name, records)) == 4


def test_authors_who_do_not_answer_each_other_stay_documents(tmp_path: Path) -> None:
    records = [
        {"user": f"u{at}", "created_at": "2025-06-23T08:12:00Z", "text": "It works."}
        for at in range(9)
    ]
    assert len(read(tmp_path / "a.jsonl", records)) == 9


def test_comments_of_an_issue_stay_in_it(tmp_path: Path) -> None:
    comment = {"author": "Ada", "created": "2025-06-23T08:12:00Z", "body": "It hums."}
    (document,) = read(tmp_path / "a.json", {"title": "Hum", "comments": [comment, comment]})
    assert document.title == "Hum"
    assert "Participants" not in document.text
