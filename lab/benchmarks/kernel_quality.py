"""Quality cost of quantized experts: perplexity of the default model by format.

    python lab/benchmarks/kernel_quality.py --data DATA --json FILE

The reference is the model in float32 with transformers' own loop; the others are in bfloat16 with
experts packed in each format. Text: documents of two data sets, in windows.
"""

from __future__ import annotations

import functools
from typing import Any

import results_file
import torch
from generation_prompts import windows_of
from generation_runs import perplexity
from transformers import AutoModelForCausalLM, AutoTokenizer

from expertrag import models
from expertrag_kernels import pack_model, register

MODEL = "smollm2-135m-instruct-moe"
WINDOW = 512
CODE = (
    *results_file.KERNELS,
    "lab/benchmarks/kernel_quality.py",
    "lab/benchmarks/generation_prompts.py",
    "lab/benchmarks/generation_runs.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--windows", type=int, default=40)
    given = parser.parse_args()
    register()
    tokenizer: Any = AutoTokenizer.from_pretrained(models.ensure(MODEL))
    windows = windows_of(given.data, tokenizer, given.windows, WINDOW)
    exact = perplexity(windows, functools.partial(logits, load(torch.float32, None)))
    found = {"f32": {"perplexity": exact, "increase": 0.0}}
    print(f"f32   perplexity {exact:.4f}", flush=True)
    for format in ("bf16", "int8", "int4"):
        own = perplexity(windows, functools.partial(logits, load(torch.bfloat16, format)))
        found[format] = {"perplexity": own, "increase": own / exact - 1}
        print(f"{format:<5} perplexity {own:.4f}, {own / exact - 1:+.2%}", flush=True)
    body = {"model": MODEL, "tokens": len(windows) * (WINDOW - 1), "formats": found}
    results_file.write(given.json, body, CODE)


def load(dtype: torch.dtype, format: str | None) -> Any:
    """Load the model, with experts packed in a format or as transformers runs them."""
    model: Any = AutoModelForCausalLM.from_pretrained(models.ensure(MODEL), dtype=dtype)
    model.eval()
    model.set_experts_implementation("expertrag" if format else "eager")
    if format:
        pack_model(model, format)
    return model


def logits(model: Any, window: list[int]) -> torch.Tensor:
    """Return the logits of the next token after each token of a window but the last, [T - 1, V]."""
    with torch.inference_mode():
        found: torch.Tensor = model(torch.tensor([window])).logits[0, :-1]
    return found.float()


if __name__ == "__main__":
    main()
