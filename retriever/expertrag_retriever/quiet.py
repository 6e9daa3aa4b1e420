"""Silences the progress bars and warnings of the libraries that load models."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOGGERS = ("transformers", "huggingface_hub", "accelerate")
_ONE = threading.RLock()  # the settings that are changed and restored are process-wide


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the libraries' progress bars and warnings; real failures still raise.

    Imports transformers. One thread at a time.
    """
    from transformers.utils import logging as hf_logging

    # transformers does not annotate these two
    hide_bars: Callable[[], None] = hf_logging.disable_progress_bar
    show_bars: Callable[[], None] = hf_logging.enable_progress_bar
    with _ONE:
        bars = hf_logging.is_progress_bar_enabled()
        levels = {name: logging.getLogger(name).level for name in _LOGGERS}
        hide_bars()
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if bars:
                show_bars()
