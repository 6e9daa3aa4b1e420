"""Libraries that load models, without their progress bars and warnings."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOGGERS = ("transformers", "huggingface_hub", "accelerate")
_ONE = threading.RLock()  # what is set back is the process's


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the libraries' progress bars and warnings; real failures still raise.

    Imports transformers. One thread at a time.
    """
    from transformers.utils import logging as hf_logging

    # transformers leaves these two without annotations
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
