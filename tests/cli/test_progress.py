"""Progress: a bar on a terminal, lines elsewhere; always on stderr."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time

import pytest

from expertrag.cli.progress import Relay, progress

WORK = """
from expertrag.cli.progress import progress
with progress() as report:
    for done in range(1, 1001):
        report("embed", done, 1000)
    report("write", 1, None)
"""


def test_lines_off_a_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["embed: 1/1000", "embed: 1000/1000", "write: 1"]


def test_lines_show_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    clock = iter([0.0, 1.0, 10.0, 20.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress() as report:
        for done in (40, 41, 45, 100):  # 40 were done before; then one every two seconds
            report("answering", done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "answering: 40/100",
        "answering: 45/100, 1 min 50 s left",
        "answering: 100/100",
    ]


def test_bytes_are_formatted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    clock = iter([0.0, 10.0, 20.0, 21.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress(in_bytes=("download",)) as report:
        for mib in (0, 50, 100):
            report("download x", mib << 20, 100 << 20)
        report("pack x", 7, 7)
    assert capsys.readouterr().err.splitlines() == [
        "download x: 0 B/100.0 MiB",
        "download x: 50.0 MiB/100.0 MiB, 0 min 10 s left",
        "download x: 100.0 MiB/100.0 MiB",
        "pack x: 7/7",
    ]


def test_names_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as report:
        report("profile: \x1b[2Ja\nb", 1, 1)
    assert capsys.readouterr().err == "profile: [2Ja b: 1/1\n"


def test_a_bar_on_a_terminal() -> None:
    shown = _on_a_terminal(columns=80)
    assert b"\rembed: 100%" in shown
    assert b"write: " in shown


def test_lines_on_a_terminal_of_unknown_width() -> None:
    assert _on_a_terminal(columns=0).splitlines() == [
        b"embed: 1/1000",
        b"embed: 1000/1000",
        b"write: 1",
    ]


def _on_a_terminal(columns: int) -> bytes:
    terminal, stderr = pty.openpty()
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=stderr
    ) as process:
        os.close(stderr)
        shown = b""
        while piece := _read(terminal):
            shown += piece
        out, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert (process.returncode, out) == (0, b"")
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux raises EIO when the other side is closed
        return b""


def test_a_relay_passes_progress_on_only_while_it_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    relay = Relay()
    relay("read", 1, 1)
    with relay.show():
        relay("embed", 1, 1)
    relay("write", 1, 1)
    assert capsys.readouterr().err == "embed: 1/1\n"
