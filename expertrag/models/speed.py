"""What was measured of package models on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from expertrag.models.card import source_of
from expertrag.models.registry import PackageModel, folder_of


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured: medians of three answers, one at a time, from passages not read before.

    ``memory_bytes``: peak of resident memory of a process that does nothing else, mapped weights
    included.
    """

    prompt_tokens: int
    first_token_s: float
    prompt_tokens_per_s: float
    tokens_per_s: float
    memory_bytes: int
    cores: int
    source: str = ""


def measured(model: PackageModel) -> Speed | None:
    """Return what was measured of a package model as it is made now; None if nothing was."""
    try:
        speed = Speed(**json.loads(_file(model).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return speed if speed.source == source_of(model) else None


def keep(model: PackageModel, speed: Speed) -> None:
    """Keep what was measured of a package model, beside its folder."""
    file = _file(model)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(asdict(speed), indent=1), encoding="utf-8")
    partial.replace(file)


def _file(model: PackageModel) -> Path:
    return folder_of(model).with_name(f"{model.name}.bench.json")
