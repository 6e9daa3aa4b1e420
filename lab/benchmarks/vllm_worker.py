"""Generate with vLLM on the CPU, in an environment of its own: lines of JSON in and out.

In: {"prompts": token ids, "tokens": how many}. Out: {"drawn": token ids, "seconds": of all,
"first": seconds to the first token of each}. Started by ``generation_vllm.py``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any


def main(model: str, context_tokens: int) -> None:
    """Answer the lines of stdin until it is closed."""
    vllm: Any = importlib.import_module("vllm")
    llm = vllm.LLM(
        model=model,
        dtype="bfloat16",
        max_model_len=context_tokens,
        enable_prefix_caching=False,
        disable_log_stats=False,  # they hold the time of the first token
    )
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        prompts = [{"prompt_token_ids": prompt} for prompt in asked["prompts"]]
        sampling = vllm.SamplingParams(
            temperature=0, max_tokens=asked["tokens"], ignore_eos=True, detokenize=False
        )
        started = time.perf_counter()
        found = llm.generate(prompts, sampling, use_tqdm=False)
        body = {
            "drawn": [list(each.outputs[0].token_ids) for each in found],
            "seconds": time.perf_counter() - started,
            "first": [each.metrics.first_token_latency for each in found],
        }
        print(json.dumps(body), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
