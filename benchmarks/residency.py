"""Decode of a mixture that is larger than the memory it may use, beside a plain memory mapping.

    python benchmarks/residency.py --file FILE --json FILE

Every run is a process of its own in a memory cgroup, after the file has left the system's cache: a
prompt, then one token after the other of a given text, which is the same for all. ``unbounded`` and
``mmap`` map the file, without and with a limit; ``ours`` holds as many experts as ``--weights-mib``
would. A limit is a share of the experts' bytes plus what a process needs without them. The hit
rates of other policies are computed from the routing of the unbounded run. See residency_model.py
for how routing is planted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import residency_model as model
import results_file
import torch
from memory_group import MemoryGroup
from residency_policies import Trace, Use, belady, lru, skew

from expertrag_kernels.decoder import Decoder
from expertrag_kernels.residency import ExpertReads
from expertrag_kernels.steps import SequenceRows

SHARES = (0.6, 0.4)
PROMPT = 64
_SLACK = 24 << 20  # memory that differs from run to run
CODE = (
    *results_file.KERNELS,
    "benchmarks/residency.py",
    "benchmarks/residency_model.py",
    "benchmarks/residency_policies.py",
)


def main() -> None:
    """Measure, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--file", type=Path, required=True, help="of the model; made if missing")
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a run, in a process of its own
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.file, given.one, given.tokens, given.threads)))
        return
    if not given.file.exists():
        model.write_model(given.file, given.layers)
    results_file.write(given.json, measured(given), CODE)


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Run all ways in turns; return the figures."""
    decoder, layers = model.planned(given.file, limited=True)
    least = decoder.least_experts_bytes
    whole = least // model.TOP_K * model.EXPERTS * layers
    group = MemoryGroup(f"expertrag-residency-{os.getpid()}")
    try:
        run(group, given, f"ours {least}", tokens=4)
        base = group.peak() - least + _SLACK
        ways: dict[str, tuple[str, int | None]] = {"unbounded": ("mmap 0", None)}
        for share in SHARES:
            size = int(share * whole)
            ways[f"mmap {share}"] = ("mmap 0", base + size)
            ways[f"ours {share}"] = (f"ours {size}", base + size)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, (how, limit) in ways.items():
                runs[name].append(run(group, given, how, limit))
                last = runs[name][-1]
                print(name, f"{given.tokens / last['seconds']:.2f} tokens/s", file=sys.stderr)
    finally:
        group.remove()
    wanted = runs["unbounded"][0]
    assert all(one["tokens"] == wanted["tokens"] for many in runs.values() for one in many)
    trace: Trace = [[(layer, expert) for layer, expert in used] for used in wanted["trace"]]
    return {
        "tokens": given.tokens,
        "experts": model.EXPERTS * layers,
        "experts_gib": whole / 2**30,
        "process_mib": base >> 20,
        "most_used_eighth": skew(trace, model.EXPERTS),
        "ways": {name: figures(many, given.tokens) for name, many in runs.items()},
        "policies": {
            str(share): {
                "lru": lru(trace, int(share * model.EXPERTS * layers), layers),
                "belady": belady(trace, int(share * model.EXPERTS * layers), layers),
            }
            for share in SHARES
        },
    }


def figures(runs: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
    """Return the medians of a way's runs."""

    def middle(name: str) -> float:
        return statistics.median(float(run[name]) for run in runs)

    uses = runs[0]["hits"] + runs[0]["misses"]
    found: dict[str, Any] = {
        "tokens_per_s": tokens / middle("seconds"),
        "prompt_s": middle("prompt_seconds"),
        "tokens_per_s_of_runs": [tokens / run["seconds"] for run in runs],
    }
    if uses:
        found |= {
            "hit_rate": middle("hits") / uses,
            "read_ahead": middle("read_ahead") / uses,
            "stalled_ms_per_token": middle("stalled_seconds") / tokens * 1e3,
            "read_mb_per_token": middle("bytes_read") / tokens / 1e6,
        }
    return found


def run(
    group: MemoryGroup,
    given: argparse.Namespace,
    how: str,
    limit: int | None = None,
    tokens: int | None = None,
) -> dict[str, Any]:
    """Run a way in the group, with a cold file."""
    file = os.open(given.file, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    command = [sys.executable, __file__, "--one", how, "--file", str(given.file)]
    command += ["--tokens", str(tokens or given.tokens), "--threads", str(given.threads)]
    found: dict[str, Any] = json.loads(group.run(command, limit))
    return found


def one(path: Path, how: str, tokens: int, threads: int) -> dict[str, Any]:
    """Run the prompt and the tokens; return seconds, predictions, routing and what was read."""
    way, size = how.split()
    torch.set_num_threads(threads)
    decoder, _ = model.planned(path, limited=way == "ours")
    if way == "ours":
        decoder.limit_experts(int(size))
    words = model.text(PROMPT + tokens, seed=1)
    began = time.perf_counter()
    predicted, trace = [], []
    parts = [(0, PROMPT), *((t, t + 1) for t in range(PROMPT, PROMPT + tokens))]
    for start, stop in parts:
        token, used = step(decoder, words, start, stop, threads)
        predicted.append(token)
        trace += used
        if stop == PROMPT:
            prompt_seconds = time.perf_counter() - began
            before = decoder.expert_reads or ExpertReads()
    reads = (decoder.expert_reads or ExpertReads()) - before
    return {
        "seconds": time.perf_counter() - began - prompt_seconds,
        "prompt_seconds": prompt_seconds,
        "tokens": predicted,
        "trace": trace,
        "hits": reads.hits,
        "misses": reads.misses,
        "read_ahead": reads.read_ahead,
        "bytes_read": reads.bytes_read,
        "stalled_seconds": reads.stalled_seconds,
    }


def step(
    decoder: Decoder, words: torch.Tensor, start: int, stop: int, threads: int
) -> tuple[int, list[list[Use]]]:
    """Run rows of the text; return the token that they predict and what each layer used."""
    rows = SequenceRows(0, stop - start, torch.arange(-(-model.LONGEST // 64)))
    last, all_rows = torch.tensor([stop - start - 1]), torch.arange(stop - start)
    logits, kept = decoder.run(
        words[start:stop], torch.arange(start, stop), [rows], last, all_rows, threads=threads
    )
    used = [
        [(layer, int(e)) for e in routed.topk(model.TOP_K).indices.unique()]
        for layer, routed in enumerate(kept)
    ]
    return int(logits.argmax()), used


if __name__ == "__main__":
    main()
