"""Measure the bytes of weights that one token reads, and those of a whole model.

    python lab/benchmarks/cost_bytes.py MODEL [--adapter DOMAIN]

Linux notes for each page of memory whether it was read or written (``Referenced`` in
/proc/self/smaps, cleared by /proc/self/clear_refs). One step of one token is run between clearing
and reading, then prompts that use every expert. Only memory with weights counts. Huge pages are off
in this process, since of these the system only knows that some byte was read. Prints JSON.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from expertrag.llm import load_generator
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.loading import quiet

_PR_SET_THP_DISABLE = 41
_AREA = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ")
PROMPTS, TOKENS = 16, 48
"""Prompts that use every expert of a mixture of few. Each fits into one page of the KV cache, so
that what is read of the cache, which may lie beside the weights, is little."""


def main() -> None:
    """Load a model, run it, and print what was read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("--adapter", help="domain of the sequence")
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    with quiet():
        generator = load_generator(given.model)
    assert isinstance(generator, TransformersGenerator), "a model in this process"
    network = generator._network
    assert isinstance(network, NativeNetwork), "a model on our engine"
    held = set(_addresses(network))
    _clear()
    _run(network, given.adapter, [5])
    step = referenced(held)
    _clear()
    for number in range(PROMPTS):
        for name in network.limits.experts or [None]:
            _run(network, name, [5 + 7 * (number * TOKENS + place) for place in range(TOKENS)])
    print(json.dumps({"step": step, "all": referenced(held)}))


def _clear() -> None:
    """Forget which pages were read."""
    Path("/proc/self/clear_refs").write_text("1")


def _run(network: NativeNetwork, domain: str | None, tokens: list[int]) -> None:
    """Run a prompt, in one step."""
    cache = network.new_cache(network.make_policy(domain))
    try:
        network.forward(tokens, cache)
    finally:
        network.free(cache)


def _addresses(network: NativeNetwork) -> Iterator[int]:
    """Yield an address within each weight that is held."""
    lowered = network._lowered
    for weight in lowered.weights.values():
        yield from (item.data_ptr() for item in _tensors(weight))
    yield from (item.data_ptr() for item in getattr(lowered.decoder, "_held", ()))


def _tensors(weight: Any) -> Iterable[torch.Tensor]:
    return [weight if isinstance(weight, torch.Tensor) else weight.data]


def referenced(addresses: Iterable[int]) -> int:
    """Return the bytes of pages read since they were cleared, of areas with these addresses."""
    wanted, size, counts = sorted(addresses), 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if area := _AREA.match(line):
            start, end = int(area[1], 16), int(area[2], 16)
            counts = any(start <= address < end for address in wanted)
        elif counts and line.startswith("Referenced:"):
            size += int(line.split()[1]) << 10
    return size


if __name__ == "__main__":
    main()
