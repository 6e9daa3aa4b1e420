"""Our engine against transformers as on a processor with AVX2 alone: decode and prefill.

    python lab/benchmarks/bench_avx2.py --json FILE

Both are restricted to AVX2: the engine by its instruction set, torch and oneDNN by their variables.
They run SmolLM2-135M in float32 and bfloat16 in one process, on one thread, in turn, in random
order in each round. Counted is the CPU time of the process, the least of all rounds, because
neighbours on the machine only slow it down. Prompt lookup and prefix caching are off. A ratio is
their time divided by ours.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

# before torch is imported
os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
os.environ["ONEDNN_MAX_CPU_ISA"] = os.environ["MKL_ENABLE_INSTRUCTIONS"] = "AVX2"

import results_file
import torch
from generation_runs import Write, generated, write

from expertrag import models
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag.llm.load.loading import quiet
from expertrag_kernels import Format, cpu_experts
from expertrag_lab.data.datasets import load_dataset

BASE = "smollm2-135m-instruct-moe"
TEXTS = results_file.ROOT / "tests" / "data" / "squad_small"
DTYPES = {"float32": (torch.float32, Format.F32), "bfloat16": (torch.bfloat16, Format.BF16)}
PROMPT = 512
TASKS = (  # sequences, tokens of a prompt, and tokens that are decoded
    ("decode of 1 sequence", 1, 16, 24),
    ("decode of 8 sequences", 8, 16, 24),
    ("prefill of 512 tokens", 1, PROMPT, 0),
)
CODE = (*results_file.ENGINE, "lab/benchmarks/bench_avx2.py", "lab/benchmarks/generation_runs.py")


def main() -> None:
    """Measure, print the figures, and write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", nargs="*", choices=DTYPES, default=list(DTYPES))
    given = parser.parse_args()
    assert "avx2" in cpu_experts.ISAS, "this processor has no AVX2"
    cpu_experts.ISAS = ("avx2",)
    torch.set_num_threads(1)
    with quiet():
        dense = load_dense(models.path(BASE))
        whole: Any = dense.model
    text = "\n\n".join(document.text for document in load_dataset(TEXTS).documents())
    tokens = dense.tokenizer(text, verbose=False)["input_ids"]
    rows = []
    for name in given.dtypes:
        dtype, format = DTYPES[name]
        model = whole.to(dtype)
        with torch.no_grad():
            lowered = lower(model, format, cache_bytes=256 << 20, context_tokens=1024)
        engine = Engine(lowered.decoder, threads=1, speculate=False, prefix_caching=False)
        sides: dict[str, Write] = {
            "ours": functools.partial(write, engine),
            "transformers": functools.partial(generated, model),
        }
        rows += [{"dtype": name, **row} for row in measured(sides, tokens, given.rounds)]
        engine.stop()
    body = {"torch": torch.backends.cpu.get_cpu_capability(), "rows": rows}
    results_file.write(given.json, body, CODE)


def measured(sides: dict[str, Write], tokens: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Return a row for each task: tokens per CPU second of both sides, and the ratio."""
    rows = []
    for task, texts, length, new in TASKS:
        found: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(-1, rounds):  # the first round warms up
            starts = [(number + 1) * PROMPT + text * length for text in range(texts)]
            prompts = [list(tokens[start : start + length]) for start in starts]
            for side in random.sample(list(sides), 2):
                spent = seconds_of(sides[side], prompts, new + 1)
                if new:  # the prompts alone are another task
                    spent -= seconds_of(sides[side], prompts, 1)
                if number >= 0:
                    found[side].append(texts * (new or length) / spent)
        ours, theirs = (max(found[side]) for side in ("ours", "transformers"))
        rows.append({"task": task, "ours": ours, "transformers": theirs, "ratio": ours / theirs})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def seconds_of(run: Write, prompts: Sequence[list[int]], tokens: int) -> float:
    """CPU seconds of all threads of the process."""
    began = time.process_time()
    run(prompts, tokens)
    return time.process_time() - began


if __name__ == "__main__":
    main()
