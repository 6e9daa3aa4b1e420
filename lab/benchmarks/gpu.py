"""Everything that needs a GPU, in less than 8 minutes: tests, tiles, kernels, generation.

    python lab/benchmarks/gpu.py --json FILE        on a machine with an NVIDIA GPU
    python lab/benchmarks/gpu.py --dry-run          on any: kernels interpreted, tiny shapes

Each stage (``gpu_stages.py``) runs in a process with a time limit. One that fails or takes too long
leaves its error beside what it had found, and the next begins.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import results_file

HERE = Path(__file__).parent
SECONDS = {
    "machine": 40,
    "checks": 90,
    "tiles": 110,
    "kernels": 80,
    "generation": 80,
    "vllm": 75,
}
"""Limits of the stages, in their order; together less than 8 minutes."""
CODE = (
    *results_file.ENGINE,
    "lab/benchmarks/gpu_stages.py",
    "lab/benchmarks/tune_gpu.py",
    "lab/benchmarks/kernel_rivals.py",
    "lab/benchmarks/generation_runs.py",
)


def main() -> int:
    """Run the stages, and write one JSON; return 1 if a stage failed."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, with tiny shapes")
    parser.add_argument("--stages", nargs="*", choices=SECONDS, default=list(SECONDS))
    given = parser.parse_args()
    stages = {name: run(name, SECONDS[name], dry=given.dry_run) for name in given.stages}
    failed = [name for name, found in stages.items() if "error" in found]
    body = {"dry run": given.dry_run, "failed": failed, "stages": stages}
    results_file.write(given.json, body, CODE)
    return bool(failed)


def run(stage: str, seconds: float, *, dry: bool) -> dict[str, Any]:
    """Run a stage; return what it found, its seconds, and its error if it had one."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "found.json"
        command = [sys.executable, str(HERE / "gpu_stages.py"), stage, "--out", str(out)]
        process = subprocess.Popen(
            [*command, *(["--dry-run"] if dry else [])],
            env={**os.environ, **({"TRITON_INTERPRET": "1"} if dry else {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # with its own children, to be ended with them
        )
        try:
            _, said = process.communicate(timeout=seconds)
            error = said[-1500:] if process.returncode else ""
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            error = f"not done after {seconds:.0f} s"
        found: dict[str, Any] = json.loads(out.read_text("utf-8")) if out.is_file() else {}
    spent = time.monotonic() - began
    print(f"{stage:<12} {spent:5.0f} s  {'FAILED: ' + error if error else 'ok'}", file=sys.stderr)
    return {**found, "seconds": spent, **({"error": error} if error else {})}


if __name__ == "__main__":
    sys.exit(main())
