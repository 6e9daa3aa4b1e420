"""Language models behind one interface: in this process, or on an OpenAI-compatible server."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expertrag.llm.base import Generator, Message, Session
    from expertrag.llm.registry import load_generator

__all__ = ["Generator", "Message", "Session", "load_generator"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "registry" if name == "load_generator" else "base"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
