"""Writes the bundle of a reranker, which the service reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag_common import checksums
from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.rerank.bundle import SETTINGS, WEIGHTS, RerankerForm, RerankerSettings

if TYPE_CHECKING:
    import torch


def save_bundle(
    weights: Mapping[str, torch.Tensor],
    settings: RerankerSettings,
    base: Base,
    folder: Path,
    about: Mapping[str, Any],
) -> None:
    """Write a bundle into an existing folder.

    :param about: further fields of ``reranker.json``.
    """
    import torch
    from safetensors.torch import save_file

    kind = torch.bfloat16 if settings.form is RerankerForm.CROSS_ENCODER else torch.float32
    state = {name: value.detach().to(kind).contiguous() for name, value in weights.items()}
    save_file(state, folder / WEIGHTS)
    body = {"settings": asdict(settings), "base": asdict(base), **about}
    (folder / SETTINGS).write_text(json.dumps(body, indent=2, sort_keys=True) + "\n")
    checksums.seal(folder, WEIGHTS, SETTINGS)
