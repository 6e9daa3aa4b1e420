"""Chats that Telegram exports as pages: each message has its author, its time and its relation."""

from __future__ import annotations

from pathlib import Path

from index.conftest import parsed

NAME = '<div class="from_name">{}</div>'
FORWARDED = """
<div class="forwarded body"><div class="from_name">Cy <span class="date details"
title="22.06.2025 07:00:00">22.06.2025</span></div><div class="text">the plan</div></div>
"""


def message(number: int, time: str, name: str, content: str) -> str:
    joined = "" if name else " joined"
    return f"""
    <div class="message default clearfix{joined}" id="message{number}">
     <div class="pull_left userpic_wrap"><div class="userpic"><div class="initials">AR</div></div>
     </div><div class="body">
      <div class="pull_right date details" title="23.06.2025 {time}:00 UTC+02:00">{time}</div>
      {NAME.format(name) if name else ""}{content}
     </div></div>"""


def test_a_page_of_telegram(tmp_path: Path) -> None:
    reply = '<div class="reply_to details">In reply to <a href="#go_to_message2">this</a></div>'
    service = '<div class="message service" id="message-1"><div class="body details">{}</div></div>'
    page = "".join([
        '<div class="page_header"><div class="content"><div class="text bold">Buying</div></div>',
        "</div>", service.format("23 June 2025"), service.format("Ada created group Buying"),
        message(2, "08:12", "Ada Roe", '<div class="text">who can<br>stand in?</div>'),
        message(3, "08:13", "", '<div class="text">see <a href="x">the plan</a>!</div>'),
        message(4, "08:15", "Bo Lin", reply + '<div class="text">I can</div>'),
        message(5, "08:16", "", FORWARDED),
        message(6, "08:17", "Ada Roe",
                '<div class="media_wrap"><div class="title bold">plan.pdf</div></div>'),
    ])  # fmt: skip
    html = f"<!DOCTYPE html><html><head><title>Exported Data</title></head><body>{page}</body>"
    (document,), failures = parsed(tmp_path / "messages.html", html)
    assert failures == []
    assert document.title == "Buying"
    assert document.metadata["participants"] == ["Ada Roe", "Bo Lin"]
    assert document.text == (
        "Participants: Ada Roe, Bo Lin\n\nAda created group Buying\n"
        "2025-06-23 08:12 Ada Roe: who can\nstand in?\n"
        "2025-06-23 08:13 Ada Roe: see the plan!\n"
        '2025-06-23 08:15 Bo Lin (to Ada Roe, "who can stand in?"): I can\n'
        "2025-06-23 08:16 Bo Lin: Cy 22.06.2025\nthe plan\n\n"
        "2025-06-23 08:17 Ada Roe: plan.pdf"
    )


def test_a_page_that_shows_the_mark_is_not_lost(tmp_path: Path) -> None:
    html = '<p>Write <code>&lt;div class="message default clearfix"></code> around it.</p>'
    ((document,), _) = parsed(tmp_path / "a.html", html)
    assert "around it" in document.text
