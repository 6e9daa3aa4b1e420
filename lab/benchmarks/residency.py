"""Decode of a mixture that is larger than the memory it may use, beside a plain memory mapping.

    python lab/benchmarks/residency.py --file FILE --trained FOLDER --data DATA --json FILE

Every run is a process of its own in a memory cgroup, after the file has left the system's cache: a
prompt, then one token after the other of a given text, which is the same for all. ``unbounded`` and
``mmap`` map the file, without and with a limit; ``ours`` holds as many experts as
``lab.weights_mib`` would. A limit is a share of the experts' bytes plus what a process needs
without them. The hit rates of other policies are computed from the routing of the unbounded run.
See residency_model.py
for how routing is planted. With ``--trained``, a folder of ``make lab-fixture-moe``, the same
follows with its routers, which were trained, and held-out text: see residency_trained.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import residency_model as planted
import residency_trained as trained
import results_file
import torch
from memory_group import MemoryGroup
from residency_model import PROMPT, Mixture
from residency_policies import Trace, Use, belady, lru, skew

from expertrag_kernels.residency import ExpertReads
from expertrag_kernels.steps import SequenceRows

SHARES = (0.6, 0.4)
_SLACK = 1 / 90  # of all experts: memory that differs from run to run
CODE = (
    *results_file.KERNELS,
    "lab/benchmarks/residency.py",
    "lab/benchmarks/residency_model.py",
    "lab/benchmarks/residency_policies.py",
)
CODE_OF_TRAINED = (
    "expertrag/llm/engine",
    "lab/benchmarks/residency_trained.py",
    "lab/benchmarks/fixture_moe.py",
    "lab/benchmarks/fixture_network.py",
    "lab/benchmarks/fixture_texts.py",
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What is run: a model's file, or its folder if it is trained; tokens, rounds and threads."""

    path: Path
    tokens: int
    rounds: int
    threads: int

    @property
    def weights(self) -> Path:
        """The file that runs read."""
        return self.path / trained.WEIGHTS if self.path.is_dir() else self.path


def main() -> None:
    """Measure, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--file", type=Path, required=True, help="of the model; made if missing")
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--tokens", type=int, help="fewer than each text has")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--trained", type=Path, help="folder that make lab-fixture-moe has written")
    parser.add_argument("--data", type=Path, help="folder of data sets, for the text of --trained")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a run, in a process of its own
    given = parser.parse_args()
    sizes = given.rounds, given.threads
    if given.one:
        print(json.dumps(one(Setup(given.file, given.tokens, *sizes), given.one)))
        return
    if given.trained and not given.data:
        parser.error("--trained needs --data")
    if not given.file.exists():
        planted.write_model(given.file, given.layers)
    found = measured(Setup(given.file, given.tokens or planted.TOKENS, *sizes))
    code: tuple[str, ...] = CODE
    if given.trained:
        # beside the file, because a folder for temporary files may be in memory
        with tempfile.TemporaryDirectory(dir=given.file.parent) as folder:
            trained.write_model(given.trained, given.data, Path(folder))
            found["trained"] = measured(Setup(Path(folder), given.tokens or trained.TOKENS, *sizes))
        code += CODE_OF_TRAINED
    results_file.write(given.json, found, code)


def measured(setup: Setup) -> dict[str, Any]:
    """Run all ways in turns; return the figures."""
    mixture = mixture_of(setup.path, limited=True)
    least, layers = mixture.decoder.least_experts_bytes, mixture.layers
    whole = least // mixture.top_k * mixture.experts * layers
    group = MemoryGroup(f"expertrag-residency-{os.getpid()}")
    try:
        run(group, setup, f"ours {least}", tokens=4)
        base = group.peak() - least + int(_SLACK * whole)
        ways: dict[str, tuple[str, int | None]] = {"unbounded": ("mmap 0", None)}
        for share in SHARES:
            size = int(share * whole)
            ways[f"mmap {share}"] = ("mmap 0", base + size)
            ways[f"ours {share}"] = (f"ours {size}", base + size)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
        for _ in range(setup.rounds):
            for name, (how, limit) in ways.items():
                runs[name].append(run(group, setup, how, limit))
                last = runs[name][-1]
                print(name, f"{setup.tokens / last['seconds']:.2f} tokens/s", file=sys.stderr)
    finally:
        group.remove()
    wanted = runs["unbounded"][0]
    assert all(one["tokens"] == wanted["tokens"] for many in runs.values() for one in many)
    trace: Trace = [[(layer, expert) for layer, expert in used] for used in wanted["trace"]]
    places = {share: int(share * mixture.experts * layers) for share in SHARES}
    return {
        "tokens": setup.tokens,
        "layers": layers,
        "experts": mixture.experts * layers,
        "top_k": mixture.top_k,
        "experts_gib": whole / 2**30,
        "process_mib": base >> 20,
        "most_used_eighth": skew(trace, mixture.experts),
        "ways": {name: figures(many, setup.tokens) for name, many in runs.items()},
        "policies": {
            str(share): {
                "lru": lru(trace, held, layers),
                "belady": belady(trace, held, layers),
            }
            for share, held in places.items()
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
    setup: Setup,
    how: str,
    limit: int | None = None,
    tokens: int | None = None,
) -> dict[str, Any]:
    """Run a way in the group, with a cold file."""
    file = os.open(setup.weights, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    command = [sys.executable, __file__, "--one", how, "--file", str(setup.path)]
    command += ["--tokens", str(tokens or setup.tokens), "--threads", str(setup.threads)]
    found: dict[str, Any] = json.loads(group.run(command, limit))
    return found


def mixture_of(path: Path, *, limited: bool) -> Mixture:
    """Plan the trained mixture of a folder, or the planted one of a file."""
    if path.is_dir():
        return trained.planned(path, limited=limited)
    return planted.planned(path, limited=limited)


def one(setup: Setup, how: str) -> dict[str, Any]:
    """Run the prompt and the tokens; return seconds, predictions, routing and what was read."""
    way, size = how.split()
    torch.set_num_threads(setup.threads)
    mixture = mixture_of(setup.path, limited=way == "ours")
    decoder, length = mixture.decoder, PROMPT + setup.tokens
    assert length <= len(mixture.text), f"the text has {len(mixture.text) - PROMPT} tokens"
    if way == "ours":
        decoder.limit_experts(int(size))
    began = time.perf_counter()
    predicted, trace = [], []
    parts = [(0, PROMPT), *((t, t + 1) for t in range(PROMPT, length))]
    for start, stop in parts:
        token, used = step(mixture, start, stop, setup.threads)
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


def step(mixture: Mixture, start: int, stop: int, threads: int) -> tuple[int, list[list[Use]]]:
    """Run rows of the text; return the token that they predict and what each layer used."""
    rows = SequenceRows(0, stop - start, torch.arange(-(-planted.LONGEST // 64)))
    last, all_rows = torch.tensor([stop - start - 1]), torch.arange(stop - start)
    logits, kept = mixture.decoder.run(
        mixture.text[start:stop],
        torch.arange(start, stop),
        [rows],
        last,
        all_rows,
        threads=threads,
    )
    used = [
        [(layer, int(e)) for e in kept[router].topk(mixture.top_k).indices.unique()]
        for layer, router in enumerate(mixture.routers)
    ]
    return int(logits.argmax()), used


if __name__ == "__main__":
    main()
