"""A bundle: embedding experts and router without their base model (a few megabytes), and a card.

BUNDLE/experts.safetensors   the experts, bfloat16
BUNDLE/router.safetensors    the router
BUNDLE/experts.json          settings, the base model they belong to, training figures
BUNDLE/README.md             the card
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expertrag_common import checksums
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.experts.storage import SETTINGS, load_experts

MODULES = "modules.json"  # of a whole sentence-transformers model


@dataclass(frozen=True, slots=True)
class Base:
    """The base model that a bundle's experts were trained on: name and fingerprint of its files."""

    name: str
    fingerprint: str


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds experts that need a base model."""
    return (folder / SETTINGS).is_file() and not (folder / MODULES).is_file()


def base_of(folder: Path) -> Base:
    """Read which base model a bundle needs.

    :raises EmbedderError: the folder is not a bundle, or the bundle is damaged.
    """
    if not is_bundle(folder):
        raise EmbedderError(
            f"{folder} is not a bundle of experts; name one made by `expertrag train embedder`"
        )
    try:
        checksums.verify(folder)
        body: dict[str, Any] = json.loads((folder / SETTINGS).read_bytes())
        return Base(str(body["base"]["name"]), str(body["base"]["fingerprint"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmbedderError(
            f"the bundle {folder} is damaged ({checksums.first_line(error)}): train it again, "
            "or fetch it again"
        ) from error


def attach(model: Any, folder: Path, fingerprint: str) -> None:
    """Put the experts and the router of a bundle into its loaded base model.

    :param model: a SentenceTransformer or a PlainEncoder.
    :param fingerprint: of the base model's files.
    :raises EmbedderError: the bundle is damaged, or was trained on another base.
    """
    from expertrag_retriever.experts.routed import WithExperts

    base = base_of(folder)
    if base.fingerprint != fingerprint:
        raise EmbedderError(
            f"the experts in {folder} were trained on a different version of {base.name}: "
            "use that base model, or train them again on this one"
        )
    module = model[0]
    if not isinstance(module, WithExperts):
        from expertrag_retriever.experts.module import expert_transformer

        module = expert_transformer(model)
    load_experts(module, folder)
