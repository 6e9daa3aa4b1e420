"""Quality cost of quantized experts: perplexity of the default model by format.

    python benchmarks/kernel_quality.py --data DATA --json FILE

The reference is the model in float32 with transformers' own loop; the others are in bfloat16 with
experts packed in each format. Text: documents of two data sets, in windows.
"""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import results_file
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from expertrag import models
from expertrag.data.datasets import load_dataset
from expertrag_index.types import LoadFailure
from expertrag_kernels import pack_model, register

MODEL = "smollm2-135m-instruct-moe"
SETS = ("squad2", "pydocs")
WINDOW = 512
CODE = (*results_file.KERNELS, "benchmarks/kernel_quality.py")


def main() -> int:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--windows", type=int, default=40)
    given = parser.parse_args()
    register()
    windows = draw_windows(given.data, given.windows)
    exact = perplexity(load(torch.float32, None), windows)
    found = {"f32": {"perplexity": exact, "increase": 0.0}}
    print(f"f32   perplexity {exact:.4f}", flush=True)
    for format in ("bf16", "int8", "int4"):
        own = perplexity(load(torch.bfloat16, format), windows)
        found[format] = {"perplexity": own, "increase": own / exact - 1}
        print(f"{format:<5} perplexity {own:.4f}, {own / exact - 1:+.2%}", flush=True)
    body = {"model": MODEL, "tokens": windows[:, 1:].numel(), "formats": found}
    results_file.write(given.json, body, CODE)
    return 0


def draw_windows(data: Path, count: int) -> torch.Tensor:
    """Return the first documents of each data set, [count, WINDOW] tokens."""
    tokenizer: Any = AutoTokenizer.from_pretrained(models.ensure(MODEL))
    failures: list[LoadFailure] = []
    rows: list[list[int]] = []
    for name in SETS:
        documents = load_dataset(data / name).documents(failures)
        text = "\n\n".join(item.text for item in itertools.islice(documents, 40 * count))
        ids = tokenizer(text, verbose=False)["input_ids"]
        share = count // len(SETS)
        rows += [ids[place * WINDOW : (place + 1) * WINDOW] for place in range(share)]
    return torch.tensor(rows)


def load(dtype: torch.dtype, format: str | None) -> Any:
    """Load the model, with experts packed in a format or as transformers runs them."""
    model: Any = AutoModelForCausalLM.from_pretrained(models.ensure(MODEL), dtype=dtype)
    model.eval()
    model.set_experts_implementation("expertrag" if format else "eager")
    if format:
        pack_model(model, format)
    return model


def perplexity(model: Any, windows: torch.Tensor) -> float:
    """Perplexity of all tokens of the windows except the first of each."""
    losses = []
    with torch.inference_mode():
        for window in windows:
            logits = model(window[None]).logits[0, :-1].float()
            losses.append(torch.nn.functional.cross_entropy(logits, window[1:]))
    return math.exp(float(torch.stack(losses).mean()))


if __name__ == "__main__":
    sys.exit(main())
