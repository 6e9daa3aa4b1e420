"""Quality cost of int4 for a GGUF file's model: perplexity compared with the file's own weights.

    python benchmarks/generation_quality.py DATA --gguf FILE --packed FOLDER --json FILE

Both run on our engine: the output of ``llm pack``, and the file's weights in bfloat16, whose loss
is negligible. Text: documents of two data sets, in windows.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import results_file
import torch

from expertrag.data.datasets import load_dataset
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.native_network import CacheRoom, NativeNetwork
from expertrag.llm.engine.sequences import PrefillOutput, SequenceState
from expertrag.llm.load.loading import ModelFiles
from expertrag.llm.load.native_loading import native_network
from expertrag.llm.load.packed_loading import packed_network
from expertrag.llm.load.source import ModelSource
from expertrag_index.types import LoadFailure
from expertrag_kernels import Format

SETS = ("squad2", "pydocs")
WINDOW = 256
ROOM = CacheRoom(256 << 20, 256 << 20)
CODE = (*results_file.ENGINE, "benchmarks/generation_quality.py")


def main() -> int:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--packed", type=Path, required=True, help="folder of `llm pack`")
    parser.add_argument("--windows", type=int, default=12)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for name, network, tokenizer in networks(given.gguf, given.packed):
        windows = draw_windows(given.data, tokenizer, given.windows)
        found[name] = perplexity(network.engine, windows)
        network.engine.stop()
        print(f"{name}: {found[name]:.4f}", file=sys.stderr, flush=True)
    found["increase"] = found["packed"] / found["weights of the file"] - 1
    found["tokens"] = given.windows * (WINDOW - 1)
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)
    return 0


def networks(gguf: Path, packed: Path) -> Iterator[tuple[str, NativeNetwork, Any]]:
    """Load one after the other, because both together may not fit into memory."""
    yield "packed", *packed_network(packed.name, ModelFiles(packed), "auto", ROOM)
    source = ModelSource(ModelFiles(gguf.parent, gguf.name))
    cpu = torch.device("cpu")
    exact = native_network(gguf.name, source, Format.BF16, torch.bfloat16, cpu, ROOM)
    assert exact is not None, "its packed form runs on the engine"
    yield "weights of the file", exact, source.tokenizer


def draw_windows(data: Path, tokenizer: Any, count: int) -> list[list[int]]:
    """Return the first documents of each data set as ``count`` windows of WINDOW tokens in all."""
    failures: list[LoadFailure] = []
    rows: list[list[int]] = []
    for name in SETS:
        documents = load_dataset(data / name).documents(failures)
        text = "\n\n".join(item.text for item in itertools.islice(documents, 40 * count))
        ids = tokenizer(text[: count * WINDOW * 8], verbose=False)["input_ids"]
        rows += [ids[at * WINDOW : (at + 1) * WINDOW] for at in range(count // len(SETS))]
    return rows


def perplexity(engine: Engine, windows: list[list[int]]) -> float:
    """Perplexity of all tokens of the windows except the first of each."""
    total = 0.0
    for window in windows:
        text = SequenceState([])
        engine.submit(text)
        engine.prefill(text, window, len(window), return_states=False)
        looked = engine.next_output(text, lambda: None)
        engine.close(text)
        assert isinstance(looked, PrefillOutput), "it was asked"
        said = looked.logits[:-1].float().log_softmax(-1)
        total -= float(said.gather(1, torch.tensor(window[1:])[:, None]).double().sum())
    return math.exp(total / sum(len(window) - 1 for window in windows))


if __name__ == "__main__":
    sys.exit(main())
