"""Chats that are exported as text: dates, times, names, and what is not a chat."""

from __future__ import annotations

from pathlib import Path

import pytest
from index.conftest import parsed

from expertrag_index.loaders.chat_lines import messages_in

ANDROID = """\
23/06/25, 08:00 - Messages and calls are end-to-end encrypted. Tap to learn more.
23/06/25, 08:12 - Ada Roe: who can stand in for me:
- 7 to 18 July

- and August
23/06/25, 08:15 - +49 151 2345: I can: always
23/06/25, 20:17 - Ada Roe: <Media omitted>
"""


def test_lines_of_whatsapp(tmp_path: Path) -> None:
    (document,), failures = parsed(tmp_path / "WhatsApp Chat with Orders.txt", ANDROID)
    assert failures == []
    assert document.text == (
        "Participants: Ada Roe, +49 151 2345\n\n"
        "2025-06-23 08:00 Messages and calls are end-to-end encrypted. Tap to learn more.\n"
        "2025-06-23 08:12 Ada Roe: who can stand in for me:\n- 7 to 18 July\n- and August\n"
        "2025-06-23 08:15 +49 151 2345: I can: always\n\n"
        "2025-06-23 20:17 Ada Roe: <Media omitted>"
    )
    assert document.title == "WhatsApp Chat with Orders"
    assert document.metadata["date"] == "2025-06-23"


@pytest.mark.parametrize(
    ("line", "when"),
    [
        ("\u200e[6/13/25, 2:05:33\u202fPM] Ada: \u200ehi", "2025-06-13 14:05"),
        ("[13.06.25, 14:05:33] Ada: hi", "2025-06-13 14:05"),
        ("13.06.25, 14:05 - Ada: hi", "2025-06-13 14:05"),
        ("13/06/2025, 12:05 am - Ada: hi", "2025-06-13 00:05"),
        ("13/06/2025, 2:05 p. m. - Ada: hi", "2025-06-13 14:05"),
        ("2025-06-13, 14:05 - Ada: hi", "2025-06-13 14:05"),
        ("[2025-06-13 14:05] ~\u202fAda: hi", "2025-06-13 14:05"),
        ("[13.6.2025 klo 14.05.18] Ada: hi", None),  # seconds without a comma: a log
        ("[13.6.2025 klo 14.05] Ada: hi", "2025-06-13 14:05"),
        ("03.06.25, 14:05 - Ada: hi", "2025-06-03 14:05"),
        ("03/06/25, 14:05 - Ada: hi", "03/06/25 14:05"),  # nothing tells day from month
    ],
)
def test_times_of_all_programs(line: str, when: str | None) -> None:
    _, messages = messages_in(f"{line}\n{line}")
    assert [(each.when, each.who, each.text) for each in messages] == [(when, "Ada", "hi")] * (
        2 if when else 0
    )


def test_the_order_of_dates_tells_day_from_month() -> None:
    _, messages = messages_in("12/03/24, 14:05 - Ada: a\n01/04/24, 14:05 - Ada: b\n")
    assert [each.when[:10] for each in messages] == ["2024-03-12", "2024-04-01"]


def test_lines_above_a_chat_and_front_matter_are_kept(tmp_path: Path) -> None:
    chat = "[2025-06-13 14:05] Ada: who?\n[2025-06-13 14:06] Bo: me\n"
    text = f"---\ntitle: Orders\nteam: ovens\n---\nChat of the week\n\n{chat}"
    for name in ("a.txt", "a.md"):
        ((document,), _) = parsed(tmp_path / name, text)
        assert document.title == "Orders"
        assert document.metadata["team"] == "ovens"
        assert "team: ovens\nChat of the week" in document.text
        assert document.text.endswith("2025-06-13 14:05 Ada: who?\n2025-06-13 14:06 Bo: me")


@pytest.mark.parametrize(
    "text",
    [
        "[2025-06-03 08:12:33] production.ERROR: boom\n[2025-06-03 08:12:34] production.INFO: x",
        "[2025-06-03 08:12] app.error: boom\n[2025-06-03 08:12] app.error: x",
        "2025-06-03 08:12 - sshd[12]: started\n2025-06-03 08:13 - sshd[12]: ended",
        "2025-06-03 08:12 - moved house\n2025-06-04 08:12 - painted it\n",
        "[2025-06-03 08:12] Only: one message",
        "Minutes of 2025-06-03\n\nAda: we go.\nBo: ok",
        "".join(f"[2025-06-03 08:12] Topic {at}: a line of notes\n" for at in range(9)),
        "[2025-06-03 08:12] Ada: hi\n[2025-06-03 08:12] Ada: hi\n" + "A line of prose.\n" * 9,
        "",
    ],
)
def test_what_is_not_a_chat_is_a_text(text: str) -> None:
    assert messages_in(text) == ("", [])


def test_a_log_is_not_a_chat(tmp_path: Path) -> None:
    text = "[2025-06-13 14:05] Ada: who?\n[2025-06-13 14:06] Bo: me"
    ((document,), _) = parsed(tmp_path / "a.log", text)
    assert document.text == text


def test_a_hostile_line_takes_linear_time() -> None:
    stamp = "[2025-06-13 14:05]"
    for line in (stamp + " " * 400_000, stamp + " ~" * 200_000, stamp + " a" * 200_000):
        assert messages_in(f"{line}\n{line}")[1] == []
