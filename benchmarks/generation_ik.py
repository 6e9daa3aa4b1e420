"""Run a GGUF file with ik_llama.cpp, for ``generation_limits.py``.

The library is that of ik-llama-cpp-python in a folder. Its wheel on PyPI is built for AVX2; built
from source, it uses the machine's instruction set:

    pip install --no-deps --target FOLDER ik-llama-cpp-python
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


class IkLlamaCpp:
    """A loaded GGUF file."""

    def __init__(self, folder: Path, path: Path, *, context_tokens: int) -> None:
        sys.path.append(str(folder))
        logging.getLogger("ik_llama_cpp").setLevel(logging.ERROR)
        library: Any = importlib.import_module("ik_llama_cpp")
        self._model: Any = library.IkLlama(
            str(path), n_ctx=context_tokens, n_threads=torch.get_num_threads(), verbose=False
        )

    def run(
        self, prompts: Sequence[Sequence[int]], tokens: int
    ) -> tuple[list[list[int]], float, list[float]]:
        """Generate greedily after one prompt; see :meth:`generation_llamacpp.LlamaCpp.run`.

        The prompt is read twice, because the library does not report the time of the first token.
        """
        (prompt,) = prompts
        started = time.perf_counter()
        self._model.generate(list(prompt), max_tokens=0)
        first = time.perf_counter() - started
        started = time.perf_counter()
        drawn = self._model.generate(list(prompt), max_tokens=tokens - 1)
        return [drawn], time.perf_counter() - started, [first]

    def stop(self) -> None:
        """Free the memory."""
        self._model.close()
