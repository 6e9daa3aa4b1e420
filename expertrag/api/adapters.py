"""Adapters of the language model, as the server describes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """An adapter (LoRA) that requests may name.

    ``rank``: the highest of its layers. ``size_bytes``: of its weights in memory. ``digest``: hash
    of its files. ``base``: the model that it says it was trained on; may be empty.
    """

    name: str
    rank: int
    size_bytes: int
    digest: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class LoadAdapterRequest:
    """An adapter to load: its name, and its folder in peft's layout on the server's machine."""

    name: str
    folder: str
