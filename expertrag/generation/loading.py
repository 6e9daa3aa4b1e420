"""Load transformers models quietly, with typed one-line errors instead of their exceptions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag.errors import ExpertRAGError, MissingExtra, NotFound, ServerError

_LOGGERS = ("transformers", "huggingface_hub", "accelerate")


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the libraries' progress bars and warnings; real failures still raise."""
    from transformers.utils import logging as hf_logging

    # transformers leaves these two without annotations
    hide_bars: Callable[[], None] = hf_logging.disable_progress_bar
    show_bars: Callable[[], None] = hf_logging.enable_progress_bar
    bars = hf_logging.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    hide_bars()
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            show_bars()


@contextmanager
def model_errors(name: str) -> Iterator[None]:
    """Turn whatever a library raises while it loads model ``name`` into an ExpertRAG error.

    :raises NotFound: if there is no such model.
    :raises MissingExtra: if the server extra is not installed.
    :raises ServerError: if its files are damaged.
    """
    try:
        yield
    except ExpertRAGError:
        raise
    except ImportError as error:
        raise MissingExtra(
            f"model {name!r} needs a missing package ({_first_line(error)}); "
            "run: pip install 'expertrag[server]'",
            reason="MISSING_EXTRA",
        ) from error
    except Exception as error:  # the libraries raise anything from KeyError to SafetensorError
        raise ServerError(
            f"model {name!r} cannot be loaded: its files are damaged or of an unknown kind "
            f"({_first_line(error)}); run: expertrag models pull {name}",
            reason="MODEL_DAMAGED",
            metadata={"model": name},
        ) from error


def local_folder(name: str) -> Path:
    """Folder that holds model ``name``: itself, or the hub cache's snapshot (fetched if allowed).

    :raises NotFound: if it is neither.
    """
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise _not_found(name, "the folder has no config.json")
    if name.count("/") > 1 or name.startswith((".", "~", "/")):
        raise _not_found(name, "there is no such folder")
    from huggingface_hub import snapshot_download

    try:
        with quiet():
            return Path(snapshot_download(name))
    except Exception as error:  # offline, no such repository, not a valid id, no network
        raise _not_found(name, _first_line(error)) from error


def _not_found(name: str, why: str) -> NotFound:
    return NotFound(
        f"model {name!r} not found ({why}); run: expertrag models pull {name}, "
        "or name a folder with config.json",
        reason="MODEL_NOT_FOUND",
        metadata={"model": name},
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
