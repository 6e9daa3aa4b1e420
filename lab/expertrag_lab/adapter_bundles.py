"""Writes and changes the bundles of readers, which the service reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag.llm.adapters.bundle import ABOUT, WEIGHTS, AdapterSettings, load_bundle
from expertrag.llm.base import SHARED
from expertrag.llm.prompt import Doubt
from expertrag_common import checksums

if TYPE_CHECKING:
    import torch


_CARD = "README.md"


def save_bundle(
    settings: AdapterSettings,
    weights: Mapping[str, torch.Tensor],
    training: Mapping[str, Any],
    card: str,
    folder: Path,
) -> None:
    """Write a bundle into an existing folder.

    :param training: the training report; :func:`load_bundle` reads ``base``, ``fingerprint`` and
        ``prompts`` from it.
    """
    _save({"settings": asdict(settings), "training": training}, weights, card, folder)


def narrow_bundle(
    folder: Path, domains: Collection[str], step: Mapping[str, Any], note: str, out: Path
) -> None:
    """Write a reader with some of its domains into an existing folder; their weights stay.

    :param domains: names of the domains; those that the reader does not have are ignored.
    :param step: what was done, the last of ``surgery`` in ``reader.json``.
    :param note: the end of the card, which says the same.
    :raises InvalidArgument: ``folder`` is not a bundle.
    :raises ServerError: it is damaged.
    """
    bundle = load_bundle(folder)
    own = tuple(name for name in bundle.settings.domains if name in domains)
    weights = {
        name: value
        for name, value in bundle.weights.items()
        if name.split(".")[-2] in (SHARED, *own)
    }
    body = json.loads((folder / ABOUT).read_bytes())
    body["settings"] = asdict(replace(bundle.settings, domains=own))
    body["surgery"] = [*body.get("surgery", ()), step]
    card = (folder / _CARD).read_text(encoding="utf-8") if (folder / _CARD).is_file() else ""
    _save(body, weights, f"{card}\n{note}".lstrip(), out)


def weights_bytes(folder: Path) -> int:
    """Bytes of a bundle's weights on disk."""
    return (folder / WEIGHTS).stat().st_size


def scale_bundle(folder: Path, doubt: Doubt) -> None:
    """Store the scaling of the reader's doubt in its bundle.

    :raises InvalidArgument: the folder is not a bundle.
    :raises ServerError: it is damaged.
    """
    load_bundle(folder)
    body = {**json.loads((folder / ABOUT).read_bytes()), "doubt": asdict(doubt)}
    checksums.replace(folder, ABOUT, (json.dumps(body, indent=1) + "\n").encode())


def _save(
    body: Mapping[str, Any], weights: Mapping[str, torch.Tensor], card: str, folder: Path
) -> None:
    from safetensors.torch import save_file

    halved = {name: value.detach().bfloat16().contiguous() for name, value in weights.items()}
    save_file(halved, folder / WEIGHTS)
    (folder / ABOUT).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    checksums.seal(folder, WEIGHTS, ABOUT)
    (folder / _CARD).write_text(card, encoding="utf-8")
