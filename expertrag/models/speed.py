"""Speed of package models, as measured on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from expertrag.models.card import source_of
from expertrag.models.registry import PackageModel, folder_of


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of three answers, generated one at a time, from uncached passages.

    ``memory_bytes``: peak resident memory of a process that does nothing else, including mapped
    weights.
    """

    prompt_tokens: int
    first_token_s: float
    prompt_tokens_per_s: float
    tokens_per_s: float
    memory_bytes: int
    cores: int
    source: str = ""


def read_speed(model: PackageModel) -> Speed | None:
    """Return the speed of the current build of a package model; None if not measured."""
    try:
        speed = Speed(**json.loads(_file(model).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return speed if speed.source == source_of(model) else None


def keep(model: PackageModel, speed: Speed) -> None:
    """Store the speed of a package model next to its folder."""
    file = _file(model)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(asdict(speed), indent=1), encoding="utf-8")
    partial.replace(file)


def _file(model: PackageModel) -> Path:
    return folder_of(model).with_name(f"{model.name}.bench.json")
