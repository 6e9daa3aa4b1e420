"""Locates the files of an embedder and decides whether the code that they name may run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from expertrag_retriever.errors import EmbedderError

CURE = "check its name and files, or pull a known one: `expertrag models pull all-minilm-l6-v2`"


def is_ours(source: str) -> bool:
    """Whether the only custom code that a folder names is this package's expert module.

    ``trust_remote_code`` applies to all code that the folder names, and transformers reads such
    names ("auto_map") from several files.
    """
    folder = Path(source).expanduser()
    names_code = False

    def seen(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal names_code
        names_code = names_code or "auto_map" in body
        return body

    try:
        kinds = {
            str(module["type"]) for module in json.loads((folder / "modules.json").read_bytes())
        }
        for path in folder.rglob("*.json"):
            json.loads(path.read_bytes(), object_hook=seen)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    foreign = {kind for kind in kinds if not kind.startswith("sentence_transformers.")}
    return foreign == {"expertrag_retriever.experts.module.ExpertTransformer"} and not names_code


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
