"""Time the kernels and the engine of the version that is installed: lines in and out.

In: the name of a case. Out: its seconds. The first line out is JSON: which files were imported, and
the names of the cases. Started by ``bench_commits.py`` in the environment of each version, so it
uses nothing that only one of them has.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

import expertrag
import expertrag_kernels
from expertrag_kernels import Format, PlainExperts, fused_experts, pack
from expertrag_kernels import _cpu as compiled

Cases = Mapping[str, Callable[[], float]]
"""Seconds of a layer's call, of a step of decode, or of a prefill, by name."""

EXPERTS, HIDDEN, INNER, TOP_K = 64, 2048, 1024, 8  # OLMoE's
LAYER_CALLS = {1: 16, 8: 4, 64: 2, 512: 1}
"""Numbers of tokens, and how many calls a measurement has: 0.1 to 0.3 s together."""
DECODES = {1: 12, 8: 6}
"""Numbers of sequences, and how many steps a measurement has."""
PREFILL = 8, 32  # sequences, and the tokens of each
PROMPT = 16  # tokens before a decode
WORDS = 30000  # of a vocabulary of 49152, whose first are for layout
_SEED = 0  # the same in both versions, which are asked for the same cases in the same order


def main(kind: str, format: str, model: str) -> None:
    """Answer the lines of stdin until it is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that print do not disturb
    cases = layer_cases(format) if kind == "experts" else engine_cases(model, format)
    imported = [str(module.__file__) for module in (expertrag, expertrag_kernels, compiled)]
    print(json.dumps({"imported": imported, "cases": list(cases)}), file=answers, flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            print(cases[line.strip()](), file=answers, flush=True)


def layer_cases(format: str) -> Cases:
    """Pack a layer of Gaussian weights; return a case for each number of tokens."""
    torch.manual_seed(_SEED)
    gate_up = torch.empty(EXPERTS, 2 * INNER, HIDDEN, dtype=torch.bfloat16)
    down = torch.empty(EXPERTS, HIDDEN, INNER, dtype=torch.bfloat16)
    layer = PlainExperts(gate_up.normal_(std=HIDDEN**-0.5), down.normal_(std=INNER**-0.5))
    packed = pack(layer, format)
    generator = torch.Generator().manual_seed(_SEED)

    def routing(tokens: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        index = torch.rand(tokens, EXPERTS, generator=generator).topk(TOP_K).indices
        weights = torch.rand(tokens, TOP_K, generator=generator) + 0.1
        x = torch.randn(tokens, HIDDEN, generator=generator).bfloat16()
        return x, index, weights / weights.sum(dim=1, keepdim=True)

    def seconds(tokens: int, calls: int) -> float:
        drawn = [routing(tokens) for _ in range(calls)]
        fused_experts(*routing(1), packed)  # wakes the threads
        began = time.perf_counter()
        for each in drawn:
            fused_experts(*each, packed)
        return (time.perf_counter() - began) / calls

    return {
        _counted(tokens, "token"): functools.partial(seconds, tokens, calls)
        for tokens, calls in LAYER_CALLS.items()
    }


def engine_cases(folder: str, format: str) -> Cases:
    """Load a model onto the engine; return a case for each task."""
    bench = EngineBench(folder, format)
    named = {
        f"decode of {_counted(count, 'sequence')}": functools.partial(bench.decode, count, steps)
        for count, steps in DECODES.items()
    }
    count, length = PREFILL
    prefill = functools.partial(bench.prefill, count, length)
    return {**named, f"prefill of {count} x {length} tokens": prefill}


class EngineBench:
    """A model on the engine, and random prompts."""

    def __init__(self, folder: str, format: str) -> None:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        from expertrag.llm.engine.engine import Engine
        from expertrag.llm.engine.lowering import lower

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        load: Any = AutoModelForCausalLM.from_pretrained  # unannotated
        model = load(folder, dtype=torch.float32 if format == "f32" else torch.bfloat16).eval()
        with torch.no_grad():
            lowered = lower(model, Format(format), cache_bytes=256 << 20, context_tokens=1024)
        self._engine = Engine(lowered.decoder, speculate=False, prefix_caching=False)
        self._generator = torch.Generator().manual_seed(_SEED)

    def decode(self, count: int, steps: int) -> float:
        """Return the seconds of a step."""
        sequences = self._submitted(count, PROMPT, 1 + steps)
        self._follow(sequences, 1)  # the prompts are done
        began = time.perf_counter()
        self._follow(sequences, steps)
        took = time.perf_counter() - began
        self._close(sequences)
        return took / steps

    def prefill(self, count: int, length: int) -> float:
        """Return the seconds until all sequences have a token."""
        began = time.perf_counter()
        sequences = self._submitted(count, length, 1)
        self._follow(sequences, 1)
        took = time.perf_counter() - began
        self._close(sequences)
        return took

    def _submitted(self, count: int, length: int, budget: int) -> list[Any]:
        from expertrag.llm.engine.sequences import SequenceState
        from expertrag.llm.sampling import Sampler

        prompts = torch.randint(100, WORDS, (count, length), generator=self._generator).tolist()
        cpu = torch.device("cpu")
        made = [SequenceState(p, Sampler(0.0, 0, cpu), token_budget=budget) for p in prompts]
        for sequence in made:
            self._engine.submit(sequence)
        return made

    def _follow(self, sequences: list[Any], tokens: int) -> None:
        for _ in range(tokens):
            for sequence in sequences:
                self._engine.next_output(sequence, lambda: None)

    def _close(self, sequences: list[Any]) -> None:
        for sequence in sequences:
            self._engine.close(sequence)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"


if __name__ == "__main__":
    main(*sys.argv[1:])
