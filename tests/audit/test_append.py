"""Appending: several writers, a writer that is killed, a disk that is full, rotation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from file_helper import no_file_beyond

from expertrag.audit.append import Appender, older

LINE = b'{"n": 1}'

WRITER = """
import sys
from pathlib import Path
from expertrag.audit.append import Appender

path, name, count, max_bytes, width = sys.argv[1:]
appender = Appender(Path(path), max_bytes=int(max_bytes), backups=100)
for number in range(int(count)):
    line = b'{"who": "%s", "n": %d, "x": "%s"}' % (name.encode(), number, b"y" * int(width))
    appender.append(line)
"""


def start(path: Path, name: str, count: int, max_bytes: int = 1 << 30, width: int = 10) -> Writer:
    arguments = [str(path), name, str(count), str(max_bytes), str(width)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments])


Writer = subprocess.Popen[bytes]


def test_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"old\n")
    (tmp_path / "new").mkdir()
    appender = Appender(path)
    appender.append(LINE)
    appender.append(LINE, durably=True)
    assert path.read_bytes() == b"old\n" + (LINE + b"\n") * 2
    fresh = Appender(tmp_path / "a" / "b" / "log.jsonl")
    fresh.check()
    assert fresh.path.stat().st_mode & 0o777 == 0o600
    appender.close()
    appender.append(LINE)
    assert len(path.read_bytes().splitlines()) == 4


def test_a_torn_line_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    appender = Appender(path)
    appender.append(LINE)
    with path.open("ab") as file:  # another process was killed in the middle
        file.write(b'{"n":')
    appender.append(LINE)
    assert path.read_bytes().splitlines() == [LINE, b'{"n":', LINE]


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    appender = Appender(path, max_bytes=20, backups=2)
    for number in range(9):
        appender.append(b"%08d" % number)
    files = [path, *older(path, 3)]
    assert [file.read_bytes().split() for file in files if file.exists()] == [
        [b"00000008"],
        [b"00000006", b"00000007"],
        [b"00000004", b"00000005"],
    ]


def test_a_line_over_the_size_limit_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    appender = Appender(path, max_bytes=4)
    appender.append(LINE)
    appender.append(LINE)
    assert (path.read_bytes(), older(path)[0].read_bytes()) == (LINE + b"\n", LINE + b"\n")


def test_a_file_that_was_moved_or_deleted_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    appender = Appender(path)
    appender.append(LINE)
    path.rename(tmp_path / "moved")  # logrotate, say
    appender.append(LINE)
    path.unlink()
    appender.append(LINE)
    assert path.read_bytes() == LINE + b"\n"


def test_two_processes_lose_nothing_while_the_file_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    writers = [start(path, name, 2_000, max_bytes=4_000) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    files = [path, *older(path, 100)]
    lines = [
        json.loads(line)
        for file in files
        if file.exists()
        for line in file.read_bytes().splitlines()
        if line
    ]
    assert Counter(line["who"] for line in lines) == {"a": 2_000, "b": 2_000}
    assert len({(line["who"], line["n"]) for line in lines}) == 4_000
    assert sum(file.exists() for file in files) > 5


def test_threads_of_one_process(tmp_path: Path) -> None:
    appender = Appender(tmp_path / "log.jsonl", max_bytes=2_000, backups=1000)

    def write(name: int) -> None:
        for number in range(500):
            appender.append(b"%d %d" % (name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = [appender.path, *older(appender.path, 1000)]
    lines = [line for f in files if f.exists() for line in f.read_bytes().splitlines()]
    assert len(set(lines)) == len(lines) == 2_000


def test_sigkill_tears_at_most_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for _ in range(5):
        writer = start(path, "a", 1_000_000, width=20_000)
        size = path.stat().st_size if path.exists() else 0
        while not path.exists() or path.stat().st_size < size + 200_000:
            time.sleep(0.005)
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
    Appender(path).append(LINE)
    lines = path.read_bytes().splitlines()
    assert lines[-1] == LINE
    whole = sum(line.startswith(b"{") and line.endswith(b"}") for line in lines if line)
    assert len([line for line in lines if line]) - whole <= 5


def test_a_full_disk_is_an_error_and_the_next_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    appender = Appender(path)
    appender.append(LINE)
    with no_file_beyond(len(LINE) + 4):  # three bytes of the line fit
        with pytest.raises(OSError, match="No space left"):
            appender.append(LINE)
        with pytest.raises(OSError, match="File too large"):
            appender.append(LINE)
    appender.append(LINE)
    assert path.read_bytes().splitlines()[::2] == [LINE, LINE]
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_only_regular_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        Appender(path).check()
