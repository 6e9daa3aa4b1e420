"""Parse `--data DOMAIN=DATASET`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from expertrag.api.errors import InvalidArgument
from expertrag_retriever.experts.settings import GENERAL

TRAIN = "train"

Data = Mapping[str, Sequence[Path]]
"""Folders of data sets, and pair files, by the domain of their texts."""


def parse_data(named: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Parse `DOMAIN=DATASET`, or `DATASET` for a domain named after its folder or file.

    :raises InvalidArgument: a domain has no name, or the name of the base model.
    """
    sets: dict[str, tuple[Path, ...]] = {}
    for item in named:
        before, sign, after = item.partition("=")
        domain, path = (before.strip(), Path(after)) if sign else (name_of(Path(item)), Path(item))
        if not domain or domain == GENERAL:
            raise InvalidArgument(
                f"data: {item!r} does not name a domain; write DOMAIN=FOLDER, such as "
                f"legal=contracts ({GENERAL!r} is the base model)"
            )
        sets[domain] = (*sets.get(domain, ()), path)
    return sets


def name_of(path: Path) -> str:
    """Name of a data set: its folder's name, or its file's without ``.jsonl`` and ``.gz``."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")
