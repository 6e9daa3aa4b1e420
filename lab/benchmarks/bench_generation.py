"""Compare the generation engine with transformers, llama.cpp and vLLM on real questions.

    python lab/benchmarks/bench_generation.py ../shared/data/squad2 --llamacpp FOLDER --vllm PYTHON

Prompts are the system's own: questions of the test split with the passages that share most words
with them (TF-IDF). All contestants run in one process, in turn, in a random order in each round.
Ratios are their time divided by ours: above 1, the engine is faster. All decode greedily and past
the end of an answer, so that all generate the same number of tokens. llama.cpp runs the same
weights: ``dense`` with the first expert of each layer as a dense model, ``mixture`` as a mixture.

- equal: greedy tokens of the engine in float32 against transformers' generate; agreement of bf16,
  int8 and int4 with transformers' bf16; perplexity of the passages
- single: one sequence at a time; tokens per second of decode and of prefill
- concurrent: 8 and 16 simultaneous sequences, against one padded batch of generate
- guesses: prompt lookup (draft tokens) on and off
- experts: batches whose sequences share experts, against batches in order of arrival
- adapters: 8 sequences with low-rank adapters against 8 without
- routing: a random mixture with fewer experts a token against its own number
- constrained: sequences constrained by a JSON Schema against free ones, and the cost of a mask
- prefix: a stream of questions over one index, with and without prefix caching
- memory: resident memory over 500 requests
- loading: seconds and peak memory to load a model; mapped weights against copied ones
- service: answers streamed through gRPC, from a server in a separate process
"""

from __future__ import annotations

import functools
import gc
import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results_file
import torch
from generation_adapters import adapters
from generation_constrained import constrained
from generation_experts import expert_sharing
from generation_llamacpp import TYPES, LlamaCpp, write_gguf
from generation_loading import loading
from generation_prompts import questions_of
from generation_routing import routing
from generation_runs import Run, Write, logits_of, perplexity, write
from generation_service import service
from generation_vllm import VLLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from expertrag import models
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.loading import quiet
from expertrag_kernels import Format

FORMATS = ("bf16", "int8", "int4")
PARTS = (
    "equal",
    "single",
    "concurrent",
    "guesses",
    "constrained",
    "experts",
    "adapters",
    "routing",
    "prefix",
    "memory",
    "loading",
    "service",
)
CODE_OF_PARTS: dict[str, tuple[str, ...]] = {
    part: (f"lab/benchmarks/generation_{part}.py",)
    for part in ("adapters", "constrained", "experts", "loading", "routing", "service")
}
CODE_OF_PARTS["service"] += ("lab/benchmarks/bench_server_start.py",)
TOKENS = 64
CACHE_BYTES = 1 << 30
CODE = (
    *results_file.ENGINE,
    "lab/benchmarks/bench_generation.py",
    "lab/benchmarks/generation_llamacpp.py",
    "lab/benchmarks/generation_runs.py",
    "lab/benchmarks/generation_vllm.py",
)


def main() -> None:
    """Run the parts, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("data", type=Path, help="a dataset folder (BEIR layout)")
    parser.add_argument("--model", default="smollm2-135m-instruct-moe")
    parser.add_argument("--llamacpp", type=Path, help="folder with llama-cpp-python")
    parser.add_argument("--vllm", type=Path, help="interpreter of an environment with vLLM")
    parser.add_argument("--gguf", type=Path, help="GGUF file to include in the loading part")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer questions and rounds")
    given = parser.parse_args()
    rivals = Rivals(given.llamacpp, given.vllm)
    bench = Bench(given.data, given.model, rivals, given.gguf, quick=given.quick)
    found = results_file.read(given.json)
    for part in given.parts:
        print(f"-- {part}", file=sys.stderr, flush=True)
        found |= getattr(bench, part)()
        bench.close()
        if given.json != "-":  # after each part, because all parts take most of an hour
            results_file.write(given.json, found, (*CODE, *CODE_OF_PARTS.get(part, ())), (part,))
    if given.json == "-":
        results_file.write(given.json, found, CODE, given.parts)


@dataclass(frozen=True, slots=True)
class Rivals:
    """Folder of llama-cpp-python, and the interpreter of vLLM's environment, if they are there."""

    llamacpp: Path | None
    vllm: Path | None


class Bench:
    """The model in all its formats, and the prompts."""

    def __init__(
        self, data: Path, name: str, rivals: Rivals, gguf: Path | None, *, quick: bool
    ) -> None:
        """Load the model and make the prompts."""
        self.name, self.rivals, self.gguf, self.quick = name, rivals, gguf, quick
        self.folder = tempfile.TemporaryDirectory()
        self._open: list[Engine | LlamaCpp | VLLM] = []
        source = models.resolve(name)
        with quiet():
            load: Any = AutoModelForCausalLM.from_pretrained  # unannotated
            self.model = load(source, dtype=torch.bfloat16).eval()
        self.chat = ChatTokenizer(AutoTokenizer.from_pretrained(source))
        self.prompts = [self.chat.encode(messages) for messages in questions_of(data, 200)]
        lengths = sorted(map(len, self.prompts))
        print(f"prompts of {lengths[0]} to {lengths[-1]} tokens", file=sys.stderr)

    # -- parts ---------------------------------------------------------------------------------

    def equal(self) -> dict[str, Any]:
        """Compare tokens and perplexity with transformers."""
        count, tokens = (5, 16) if self.quick else (50, 24)
        chosen = self.prompts[:count]
        exact = self.model.float()
        wanted = [self._generate(exact, [p], tokens)[0] for p in chosen]
        text = [token for p in self.prompts for token in p]
        windows = [text[at : at + 256] for at in range(0, 256 * (4 if self.quick else 32), 256)]
        perplexities = {"transformers float32": perplexity(windows, self._logits(exact))}
        found: dict[str, Any] = {"prompts": count, "tokens": tokens}
        got = write(self._engine("f32"), chosen, tokens).drawn
        found["f32_equal"] = sum(a == b for a, b in zip(got, wanted, strict=True))
        rounded = self.model.bfloat16()
        wanted = [self._generate(rounded, [p], tokens)[0] for p in chosen]
        perplexities["transformers bfloat16"] = perplexity(windows, self._logits(rounded))
        for format in FORMATS:
            engine = self._engine(format)
            got = write(engine, chosen, tokens).drawn
            same = [_same(a, b) / tokens for a, b in zip(got, wanted, strict=True)]
            found[f"{format}_first_tokens_as_bf16"] = statistics.mean(same)
            perplexities[format] = perplexity(windows, functools.partial(logits_of, engine))
        found["perplexity"] = perplexities
        print(json.dumps(found), file=sys.stderr)
        return {"equal": found}

    def single(self) -> dict[str, Any]:
        """Measure one sequence at a time."""
        rounds = 2 if self.quick else 8
        runs = self._in_turn([[self.prompts[number]] for number in range(-1, rounds)])
        rows = {}
        for name, (_, *some) in runs.items():  # the first round warms up
            rows[name] = {
                "tokens_per_s": statistics.median(
                    (TOKENS - 1) / (run.seconds - run.first[0]) for run in some
                ),
                "prompt_tokens_per_s": statistics.median(
                    len(self.prompts[number]) / run.first[0] for number, run in enumerate(some)
                ),
            }
        return {"single": _with_ratios(rows, "tokens_per_s", "prompt_tokens_per_s")}

    def concurrent(self) -> dict[str, Any]:
        """Measure simultaneous sequences."""
        found = {}
        for texts in (8, 16):
            starts = range(0, texts if self.quick else 2 * texts, texts)
            runs = self._in_turn([self.prompts[start : start + texts] for start in starts])
            rows = {
                name: {
                    "tokens_per_s": statistics.median(run.tokens_per_s for run in some),
                    "ttft_p95_ms": 1e3 * _p95([first for run in some for first in run.first]),
                }
                for name, some in runs.items()
            }
            found[f"concurrent_{texts}"] = _with_ratios(rows, "tokens_per_s")
            self.close()  # all contestants twice would not fit in memory
        return found

    def guesses(self) -> dict[str, Any]:
        """Compare prompt lookup on and off; the tokens must be the same."""
        count = 6 if self.quick else 30
        found = {}
        for format in FORMATS:
            engines = {on: self._engine(format, speculate=on) for on in (True, False)}
            runs = _alternated(engines, self.prompts[:count], TOKENS, penalty=0.7)
            seconds = {on: sum(r.seconds - r.first[0] for r in some) for on, some in runs.items()}
            counters = engines[True].counters
            found[format] = {
                "ratio": seconds[False] / seconds[True],
                "equal": _equal(runs),
                "guessed": counters.draft_tokens,
                "right": counters.accepted_tokens,
            }
            print(format, found[format], file=sys.stderr)
            self.close()
        return {"guesses": found}

    def constrained(self) -> dict[str, Any]:
        """Measure constrained generation."""
        engines = {on: self._engine("bf16", speculate=on) for on in (True, False)}
        count = 4 if self.quick else 24
        return {"constrained": constrained(engines, self.chat, self.prompts[:count], TOKENS)}

    def experts(self) -> dict[str, Any]:
        """Measure batches that share experts."""
        count = 8 if self.quick else 32
        engine = functools.partial(self._engine, "bf16")
        return {"experts": expert_sharing(self.model, engine, self.prompts[:count], TOKENS)}

    def adapters(self) -> dict[str, Any]:
        """Measure texts with low-rank adapters."""
        formats = FORMATS[:1] if self.quick else FORMATS
        given = models.resolve(self.name), formats, self.prompts, TOKENS
        return {"adapters": adapters(*given, quick=self.quick)}

    def routing(self) -> dict[str, Any]:
        """Measure texts whose tokens use fewer experts."""
        return {"routing": routing("int8", self.prompts, TOKENS, quick=self.quick)}

    def prefix(self) -> dict[str, Any]:
        """Answer a stream of questions over one index, with and without prefix caching."""
        chosen = self.prompts[:20] if self.quick else self.prompts
        engines = {on: self._engine("int8", prefix_caching=on) for on in (True, False)}
        runs = _alternated(engines, chosen, 32)
        seconds = {on: sum(run.seconds for run in some) for on, some in runs.items()}
        counters = engines[True].counters
        found = {
            "questions": len(chosen),
            "prompt_tokens_saved": counters.cached_tokens
            / (counters.cached_tokens + counters.prefill_tokens),
            "time_saved": 1 - seconds[True] / seconds[False],
            "answers_equal": _equal(runs),
        }
        print(json.dumps(found), file=sys.stderr)
        return {"prefix": found}

    def memory(self) -> dict[str, Any]:
        """Measure resident memory over many requests."""
        requests = 60 if self.quick else 500
        engine = self._engine("int8")
        sizes = []
        for start in range(0, requests, 20):
            some = [self.prompts[at % len(self.prompts)] for at in range(start, start + 20)]
            write(engine, some, 8)
            sizes.append(_resident_mib())
        found = {
            "requests": requests,
            "rss_mib_first_fifth": sizes[len(sizes) // 5],
            "rss_mib_end": sizes[-1],
        }
        print(json.dumps(found), file=sys.stderr)
        return {"memory": found}

    def loading(self) -> dict[str, Any]:
        """Measure time and memory to load a model."""
        return {"loading": loading(self.name, self.gguf, self.prompts, quick=self.quick)}

    def service(self) -> dict[str, Any]:
        """Stream the same answers from a server, and from a pipeline in this process."""
        return {"service": service(Path(self.folder.name), 8 if self.quick else 40)}

    def close(self) -> None:
        """Free the contestants of a part."""
        for some in self._open:
            some.stop()
        self._open.clear()
        gc.collect()

    # -- contestants ---------------------------------------------------------------------------

    def _in_turn(self, batches: Sequence[list[list[int]]]) -> dict[str, list[Run]]:
        """Run all contestants on each batch of prompts, in random order."""
        contestants = self._all_ours()
        contestants["transformers bf16"] = self._transformers
        contestants |= self._llamacpp(texts=len(batches[0])) | self._vllm()
        runs: dict[str, list[Run]] = {name: [] for name in contestants}
        for chosen in batches:
            for name in random.sample(list(contestants), len(contestants)):
                runs[name].append(contestants[name](chosen, TOKENS))
        return runs

    def _engine(self, format: str, **options: bool) -> Engine:
        with torch.no_grad():
            lowered = lower(
                self.model, Format(format), cache_bytes=CACHE_BYTES, context_tokens=4096
            )
        engine = Engine(lowered.decoder, (), **options)
        self._open.append(engine)
        return engine

    def _all_ours(self) -> dict[str, Write]:
        """Make an engine for each format; "plain" without prompt lookup and prefix caching."""
        found: dict[str, Write] = {}
        for format in FORMATS:
            for kind, on in (("", True), (" plain", False)):
                engine = self._engine(format, speculate=on, prefix_caching=on)
                found[f"ours {format}{kind}"] = functools.partial(write, engine)
        return found

    def _transformers(self, prompts: Sequence[list[int]], tokens: int) -> Run:
        started = time.perf_counter()
        first: list[float] = []
        drawn = self._generate(self.model, prompts, tokens, first=first)
        return Run(drawn, time.perf_counter() - started, [first[0] - started] * len(prompts))

    @torch.inference_mode()
    def _generate(
        self,
        model: Any,
        prompts: Sequence[list[int]],
        tokens: int,
        first: list[float] | None = None,
    ) -> list[list[int]]:
        most = max(map(len, prompts))
        ids = torch.tensor([[2] * (most - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (most - len(p)) + [1] * len(p) for p in prompts])
        out = model.generate(
            ids,
            attention_mask=mask,
            eos_token_id=-1,  # none: all generate the same number of tokens
            max_new_tokens=tokens,
            do_sample=False,
            stopping_criteria=[] if first is None else [_clock(first)],
        )
        return [row[most:].tolist() for row in out]

    @staticmethod
    def _logits(model: Any) -> Callable[[list[int]], torch.Tensor]:
        @torch.inference_mode()
        def run(window: list[int]) -> torch.Tensor:
            logits: torch.Tensor = model(input_ids=torch.tensor([window])).logits[0, :-1]
            return logits.float()

        return run

    def _llamacpp(self, texts: int) -> dict[str, Write]:
        if self.rivals.llamacpp is None:
            return {}
        found: dict[str, Write] = {}
        for dense in (True, False):
            for format, type in TYPES.items():
                if not dense and "without" in format:
                    continue
                kind = "dense" if dense else "mixture"
                path = Path(self.folder.name) / f"{kind}-{type.name}.gguf"
                if not path.exists():
                    write_gguf(self.model, path, type, dense=dense)
                loaded = LlamaCpp(self.rivals.llamacpp, path, texts=texts, context_tokens=1536)
                self._open.append(loaded)
                found[f"llama.cpp {kind} {format}"] = loaded.run
        return found

    def _vllm(self) -> dict[str, Write]:
        if self.rivals.vllm is None:
            return {}
        source = Path(models.resolve(self.name))
        started = VLLM(self.rivals.vllm, source, context_tokens=1536)
        self._open.append(started)
        return {"vLLM bf16": started.run}


def _alternated(
    engines: Mapping[bool, Engine], prompts: Sequence[list[int]], tokens: int, penalty: float = 0.0
) -> dict[bool, list[Run]]:
    """Run each prompt with an option on and off, in random order."""
    runs: dict[bool, list[Run]] = {True: [], False: []}
    for prompt in prompts:
        for on in random.sample([True, False], 2):
            runs[on].append(write(engines[on], [prompt], tokens, penalty=penalty))
    return runs


def _equal(runs: Mapping[bool, Sequence[Run]]) -> bool:
    return [run.drawn for run in runs[True]] == [run.drawn for run in runs[False]]


def _clock(times: list[float]) -> Callable[..., torch.Tensor]:
    """Make a stopping criterion that never stops, and records the time of each token."""

    def note(ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        times.append(time.perf_counter())
        return torch.zeros(len(ids), dtype=torch.bool)

    return note


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _same(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix of two texts."""
    pairs = zip(one, other, strict=True)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), len(one))


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, math.ceil(0.95 * len(values)) - 1)]


def _with_ratios(rows: dict[str, Any], *figures: str) -> dict[str, Any]:
    """Add ratios of our speed to that of contestants with the same bits."""
    for name, row in rows.items():
        if name.startswith("ours"):
            continue
        bits = next(format for format in FORMATS if format in name)
        for figure in figures:
            row[f"ratio_{figure}"] = rows[f"ours {bits}"][figure] / row[figure]
    for name, row in rows.items():
        print(f"{name:<44}", {k: round(v, 2) for k, v in row.items()}, file=sys.stderr)
    return rows


if __name__ == "__main__":
    main()
