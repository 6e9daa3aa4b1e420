"""Quality cost of int4 for a GGUF file's model: perplexity compared with the file's own weights.

    python lab/benchmarks/generation_quality.py DATA --gguf FILE --packed FOLDER --json FILE

Both run on our engine: the output of ``llm pack``, and the file's weights in bfloat16, whose loss
is negligible. Text: documents of two data sets, in windows.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import results_file
import torch
from generation_prompts import windows_of
from generation_runs import logits_of, perplexity

from expertrag.llm.engine.native_network import CacheRoom, NativeNetwork
from expertrag.llm.load.loading import ModelFiles
from expertrag.llm.load.native_loading import native_network
from expertrag.llm.load.packed_loading import load_packed_network
from expertrag.llm.load.source import ModelSource
from expertrag_kernels import Format

WINDOW = 256
ROOM = CacheRoom(256 << 20, 256 << 20)
CODE = (
    *results_file.ENGINE,
    "lab/benchmarks/generation_quality.py",
    "lab/benchmarks/generation_prompts.py",
    "lab/benchmarks/generation_runs.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--packed", type=Path, required=True, help="folder of `llm pack`")
    parser.add_argument("--windows", type=int, default=12)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for name, network, tokenizer in networks(given.gguf, given.packed):
        windows = windows_of(given.data, tokenizer, given.windows, WINDOW)
        found[name] = perplexity(windows, functools.partial(logits_of, network.engine))
        network.engine.stop()
        print(f"{name}: {found[name]:.4f}", file=sys.stderr, flush=True)
    found["increase"] = found["packed"] / found["weights of the file"] - 1
    found["tokens"] = given.windows * (WINDOW - 1)
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)


def networks(gguf: Path, packed: Path) -> Iterator[tuple[str, NativeNetwork, Any]]:
    """Load one after the other, because both together may not fit into memory."""
    yield "packed", *load_packed_network(packed.name, ModelFiles(packed), "auto", ROOM)
    source = ModelSource(ModelFiles(gguf.parent, gguf.name))
    cpu = torch.device("cpu")
    exact = native_network(gguf.name, source, Format.BF16, torch.bfloat16, cpu, ROOM)
    assert exact is not None, "its packed form runs on the engine"
    yield "weights of the file", exact, source.tokenizer


if __name__ == "__main__":
    main()
