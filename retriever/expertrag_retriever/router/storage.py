"""The files of a router.

FOLDER/router.safetensors   its tensors
FOLDER/router.json          its domains, numbers and words, and, without experts in the folder,
                            the base model that it was trained on
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from expertrag_common import checksums
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.router.evidence import DomainEvidence
from expertrag_retriever.router.router import DomainRouter
from expertrag_retriever.router.types import RouterFigures

TENSORS = "router.safetensors"
ABOUT = "router.json"
FORMAT = 1

_TENSORS = ("center", "whitener", "prototypes", "log_share", "owner")
_NUMBERS = ("temperature", "reach", "slope")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a router was trained on: base model (name and hash), layer, and its figures."""

    base: str
    fingerprint: str
    first_layer: int
    figures: RouterFigures


def save_router(router: DomainRouter, folder: Path, origin: Origin | None = None) -> None:
    """Write a router into a folder, which is created if necessary.

    :param origin: None if the folder also holds experts, which record it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(router, name).cpu().contiguous() for name in _TENSORS}
    body = {
        "format": FORMAT,
        "domains": router.domains,
        **{name: getattr(router, name) for name in _NUMBERS},
        "origin": None if origin is None else asdict(origin),
        "evidence": asdict(router.evidence),
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    save_file(tensors, folder / TENSORS)
    (folder / ABOUT).write_text(text + "\n", encoding="utf-8")
    checksums.seal(folder, TENSORS, ABOUT)


def has_router(folder: Path) -> bool:
    """Whether a folder holds a router."""
    return (folder / ABOUT).is_file()


def load_router(folder: Path) -> tuple[DomainRouter, Origin | None]:
    """Read a router and its origin.

    :raises EmbedderError: the folder has no router, or its files are damaged.
    """
    if not has_router(folder):
        raise EmbedderError(
            f"no router in {folder}: name a folder made by `expertrag train router`, or a bundle "
            "of two or more domains"
        )
    try:
        checksums.verify(folder)
        body: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if body["format"] != FORMAT:
            raise ValueError(f"its format is {body['format']}, not {FORMAT}")
        router = _router(body, load_file(folder / TENSORS))
        origin = None if body["origin"] is None else _origin(body["origin"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise EmbedderError(
            f"the router in {folder} is damaged ({checksums.first_line(error)}): train it again, "
            "or fetch it again"
        ) from error
    return router, origin


def _router(body: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> DomainRouter:
    parts: dict[str, Any] = {name: tensors[name] for name in _TENSORS}
    hidden, whitened = parts["whitener"].shape
    domains = tuple(str(name) for name in body["domains"])
    prototypes = len(parts["owner"])
    fits = (
        parts["center"].shape == (hidden,)
        and parts["prototypes"].shape == (prototypes, whitened)
        and parts["log_share"].shape == (prototypes,)
        and sorted(set(parts["owner"].tolist())) == list(range(len(domains)))
    )
    if not fits:
        raise ValueError(f"{TENSORS} and {ABOUT} do not match")
    evidence = DomainEvidence(
        {
            str(domain): {str(word): float(value) for word, value in words.items()}
            for domain, words in body["evidence"]["words"].items()
        },
        tuple(tuple(map(str, words)) for words in body["evidence"]["prototypes"]),
    )
    parts |= {name: float(body[name]) for name in _NUMBERS}
    return DomainRouter(domains=domains, **parts, evidence=evidence)


def _origin(body: Mapping[str, Any]) -> Origin:
    return Origin(
        base=str(body["base"]),
        fingerprint=str(body["fingerprint"]),
        first_layer=int(body["first_layer"]),
        figures=RouterFigures(**{**body["figures"], "use": tuple(body["figures"].get("use", ()))}),
    )
