"""Loads the compiled modules of this package, which are optional: each has an equal in numpy."""

from __future__ import annotations

import functools
import importlib
import logging
from types import ModuleType

_log = logging.getLogger(__name__)


@functools.cache
def load_module(name: str) -> ModuleType | None:
    """Return ``expertrag_index.NAME``; None where nothing was compiled."""
    try:
        return importlib.import_module(f"expertrag_index.{name}")
    except ModuleNotFoundError:
        return None
    except ImportError as error:
        _log.warning("%s cannot be loaded (%s): install the package again", name, error)
        return None
