"""Locates the files of an embedder."""

from __future__ import annotations

from pathlib import Path

from expertrag_retriever.errors import EmbedderError

CURE = "check its name and files, or pull a known one: `expertrag models pull all-minilm-l6-v2`"


def folder_of(name: str) -> Path:
    """Return where the files of a loaded model are: the folder itself, or the hub's local cache."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import try_to_load_from_cache

    for file in ("modules.json", "config.json"):
        path = try_to_load_from_cache(name, file)
        if isinstance(path, str):
            return Path(path).parent
    raise EmbedderError(f"the files of embedder {name} are not in the hub's cache: {CURE}")
