"""Find and load transformers models quietly, with one-line errors instead of library exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expertrag.api.errors import ExpertRAGError, MissingExtra, NotFound, ServerError
from expertrag.llm.fingerprint import package_name
from expertrag.llm.gguf_names import model_name, part_names
from expertrag_common.extras import install_command
from expertrag_retriever.quiet import quiet as quiet

PACKED_FILE = "packed.safetensors"
"""The weights of a folder that ``expertrag llm pack`` wrote."""
READER_FOLDER = "reader"
"""In a model's folder, the bundle of the reader that is attached to it."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A folder with a checkpoint or packed weights, or the GGUF file ``gguf`` in it.

    Of a file in several parts, ``gguf`` is the first.
    """

    folder: Path
    gguf: str | None = None

    @property
    def is_packed(self) -> Path | None:
        """The file of packed weights; None if there is none."""
        path = self.folder / PACKED_FILE
        return path if self.gguf is None and path.is_file() else None

    @property
    def reader(self) -> Path | None:
        """The bundle of an attached reader; None if there is none."""
        path = self.folder / READER_FOLDER
        return path if self.gguf is None and path.is_dir() else None

    @property
    def name(self) -> str:
        """Name of the model, from its card or its path."""
        package = None if self.gguf else package_name(self.folder)
        return package or (model_name(self.gguf) if self.gguf else self.folder.resolve().name)


@contextmanager
def model_errors(name: str) -> Iterator[None]:
    """Turn whatever a library raises while loading model ``name`` into an ExpertRAG error.

    :raises MissingExtra: if the server extra is not installed.
    :raises ServerError: if the model's files are damaged.
    """
    try:
        yield
    except ExpertRAGError:
        raise
    except ImportError as error:
        raise MissingExtra(
            f"model {name!r} needs a missing package ({first_line(error)}); "
            f"run: {install_command('server')}",
            reason="MISSING_EXTRA",
        ) from error
    except Exception as error:  # the libraries raise anything from KeyError to SafetensorError
        raise damage_error(name, first_line(error)) from error


def damage_error(name: str, why: str) -> ServerError:
    """Return the error for a model whose files cannot be used."""
    return ServerError(
        f"model {name!r} cannot be loaded: its files are damaged or of an unknown kind ({why}); "
        + _cure(name),
        reason="MODEL_DAMAGED",
        metadata={"model": name},
    )


def model_files(name: str) -> ModelFiles:
    """Find the files of model ``name``: a folder, a GGUF file, or a hub id, which is downloaded.

    :raises NotFound: if it is none of them.
    """
    path = Path(name).expanduser()
    if (path / "config.json").is_file():
        return ModelFiles(path)
    if path.is_file() and path.suffix == ".gguf":
        return _gguf(name, path)
    if path.is_dir():
        return _gguf(name, path / _only_gguf(name, path))
    if name.count("/") != 1 or name.startswith((".", "~", "/")) or path.suffix == ".gguf":
        raise _not_found(name, f"there is no such {'file' if path.suffix == '.gguf' else 'folder'}")
    from huggingface_hub import snapshot_download

    try:
        with quiet():
            folder = snapshot_download(name, ignore_patterns=["*.bin", "*.pth", "*.gguf"])
    except Exception as error:  # offline, no such repository, no valid id, no network
        raise _not_found(name, first_line(error)) from error
    return ModelFiles(Path(folder))


def _gguf(name: str, path: Path) -> ModelFiles:
    """Find a GGUF file from any of its parts.

    :raises NotFound: a part is missing.
    """
    parts = part_names(path.name)
    for part in parts:
        if not path.with_name(part).is_file():
            raise NotFound(
                f"model {name!r} is in {len(parts)} parts, and {part} is missing: download it "
                f"into {path.parent}",
                reason="MODEL_NOT_FOUND",
                metadata={"model": name},
            )
    return ModelFiles(path.parent, parts[0])


def _only_gguf(name: str, folder: Path) -> str:
    """Return the name of the only GGUF file in a folder, or of the first of its parts."""
    names = sorted({part_names(path.name)[0] for path in folder.glob("*.gguf")})
    if len(names) > 1:
        raise _not_found(name, f"the folder has {len(names)} .gguf files: name one of them")
    if not names:
        raise _not_found(name, "the folder has no config.json")
    return names[0]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut to 200 characters."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _not_found(name: str, why: str) -> NotFound:
    return NotFound(
        f"model {name!r} not found ({why}); {_cure(name)}",
        reason="MODEL_NOT_FOUND",
        metadata={"model": name},
    )


def _cure(name: str) -> str:
    folder = Path(name).expanduser()
    pulled = package_name(folder)
    if pulled is None and (folder.exists() or "/" in name):
        return (
            "name a folder with a complete model (config.json, safetensors, tokenizer), "
            "or a .gguf file"
        )
    return f"run: expertrag models pull {pulled or name}"
