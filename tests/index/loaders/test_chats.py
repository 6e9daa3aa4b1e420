"""Conversations: a message stands beside those that it answers, with when, who and to whom."""

from __future__ import annotations

import random
import re
from datetime import datetime, timedelta
from pathlib import Path

from expertrag_index.build.chunk import Chunker, CountTokens
from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.chats import ExportedMessage, are_people, conversations
from expertrag_index.loaders.frontmatter import FrontMatter
from expertrag_index.types import Document


def written(*messages: ExportedMessage, name: str = "purchasing.jsonl") -> list[Document]:
    file = SourceFile(Path("/share") / name, name, name, None, 1 << 20)
    return list(conversations(file, messages, FrontMatter()))


def test_neighbours_stand_together_and_pauses_part_them() -> None:
    (document,) = written(
        ExportedMessage("2025-06-23 08:12", "Ada", "who can stand in for me?"),
        ExportedMessage("2025-06-23 08:15", "Bo", "I can.\n\n# not on the 11th"),
        ExportedMessage("2025-06-24 09:00", "Ada", "thanks"),
    )
    assert document.text == (
        "Participants: Ada, Bo\n\n"
        "2025-06-23 08:12 Ada: who can stand in for me?\n"
        "2025-06-23 08:15 Bo: I can.\n # not on the 11th\n\n"
        "2025-06-24 09:00 Ada: thanks"
    )
    assert (document.id, document.title) == ("purchasing.jsonl", "purchasing")
    assert document.metadata == {
        "participants": ["Ada", "Bo"], "date": "2025-06-24", "first_date": "2025-06-23"
    }  # fmt: skip


def test_an_answer_names_and_quotes_what_it_answers() -> None:
    (document,) = written(
        ExportedMessage("2025-06-23 08:12", "Ada", "who can stand in?", "1"),
        ExportedMessage("2025-06-23 08:13", "Cy", "Lunch?", "2"),
        ExportedMessage("2025-06-23 08:14", "Bo", "at noon", "3", answers="2"),
        ExportedMessage("2025-06-23 08:15", "Bo", "I can", "4", answers="1"),
        ExportedMessage("2025-06-23 08:16", "Bo", "no idea", "5", answers="gone"),
    )
    assert document.text.split("\n")[-3:] == [
        "2025-06-23 08:14 Bo (to Cy): at noon",
        '2025-06-23 08:15 Bo (to Ada, "who can stand in?"): I can',
        "2025-06-23 08:16 Bo: no idea",
    ]


def test_a_thread_stands_below_its_first_message() -> None:
    (document,) = written(
        ExportedMessage("2025-06-23 08:12", "Ada", "who can stand in?", "1"),
        ExportedMessage("2025-06-23 08:13", "Cy", "Lunch?", "2"),
        ExportedMessage("2025-06-24 08:15", "Bo", "I can", "3", answers="1", in_thread=True),
        ExportedMessage("2025-06-24 08:16", "Cy", "me too", "4", answers="1", in_thread=True),
    )
    assert document.text.split("\n\n")[1] == (
        "2025-06-23 08:12 Ada: who can stand in?\n"
        "2025-06-24 08:15 Bo (to Ada): I can\n"
        "2025-06-24 08:16 Cy (to Ada): me too"
    )


def test_the_newest_may_come_first() -> None:
    (document,) = written(
        ExportedMessage("2025-06-23 08:15", "Bo", "I can", is_utc=True),
        ExportedMessage("2025-06-23 08:12", "Ada", "who?", is_utc=True),
    )
    assert document.text.split("\n") == [
        "Participants: Bo, Ada", "Times: UTC", "",
        "2025-06-23 08:12 Ada: who?", "2025-06-23 08:15 Bo: I can",
    ]  # fmt: skip


def test_each_channel_is_a_document() -> None:
    documents = written(
        ExportedMessage("2025-06-23 08:12", "Ada", "hi", channel="town"),
        ExportedMessage("2025-06-23 08:13", "Ada", "who?", channel="orders"),
        ExportedMessage("2025-06-23 08:14", "Bo", "hello", channel="town"),
    )
    assert [(document.id, document.title) for document in documents] == [
        ("purchasing.jsonl#town", "town"), ("purchasing.jsonl#orders", "orders")
    ]  # fmt: skip
    assert documents[0].text.endswith("08:12 Ada: hi\n2025-06-23 08:14 Bo: hello")
    assert documents[0].metadata["channel"] == "town"


def test_the_folder_names_what_a_program_has_named() -> None:
    message = ExportedMessage("2025-06-23 08:12", "Ada", "hi")
    for name in ("orders/2025-06-23.json", "orders/_chat.txt", "orders/messages.json"):
        assert written(message, name=name)[0].title == "orders"


def test_a_long_conversation_has_several_documents() -> None:
    messages = (ExportedMessage("2025-06-23 08:12", "Ada", f"message {at}") for at in range(20_001))
    documents = written(*messages)
    ids = ["purchasing.jsonl", "purchasing.jsonl#2", "purchasing.jsonl#3"]
    assert [document.id for document in documents] == ids
    assert sum(document.text.count("message") for document in documents) == 20_001


def test_people_answer_each_other() -> None:
    def by(*names: str) -> list[ExportedMessage]:
        return [ExportedMessage("", name, "") for name in names]

    assert are_people(by("a", "b"))
    assert are_people(by("a", "b", "c"))
    assert are_people(by("a", "b", "c", "d", "a", "b"))
    assert not are_people(by("a"))
    assert not are_people(by(*"abcdefg"))


def test_chunks_begin_with_a_message(count_word_pieces: CountTokens) -> None:
    chance = random.Random(5)
    words = ["the", "order", "is", "late", "and", "bench", "two", "stays", "off", "until"]
    now = datetime(2025, 6, 2, 8)
    messages: list[ExportedMessage] = []
    for _ in range(500):
        now += timedelta(minutes=chance.choice([1, 2, 5, 30, 400]))
        said = (" ".join(chance.choices(words, k=chance.randint(2, 14))) for _ in range(3))
        text = " ".join(f"{each.capitalize()}{chance.choice('.?')}" for each in said)
        messages.append(ExportedMessage(f"{now:%Y-%m-%d %H:%M}", chance.choice("ABC"), text))
    (document,) = written(*messages)
    chunks = Chunker(256, count_word_pieces).split(document)
    begun = [re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d [ABC]: ", chunk.text) for chunk in chunks[1:]]
    assert sum(map(bool, begun)) >= 0.95 * len(begun)
    assert all(chunk.text.count("2025-") > 1 for chunk in chunks)
