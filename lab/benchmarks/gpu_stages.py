"""The stages of ``gpu.py``, each run in a process of its own, which writes what it has found.

    python lab/benchmarks/gpu_stages.py STAGE --out FILE [--dry-run]

In a dry run the kernels are interpreted (TRITON_INTERPRET), and the engine runs its GPU decoder in
torch on the CPU; shapes are tiny, so that its figures mean nothing.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests" / "kernels"
MODEL = "smollm2-135m-instruct-moe"
TUNE_SECONDS = 45.0  # of each shape
Found = Iterator[tuple[str, Any]]
"""Figures by name, as they are found."""
Run = Callable[..., torch.Tensor]
"""Experts of a layer: x (T, H), index (T, K), weights (T, K) -> (T, H)."""


def main() -> None:
    """Run a stage, and write its figures after each of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for name, value in STAGES[given.stage](dry=given.dry_run):
        found[name] = value
        given.out.write_text(json.dumps(found), encoding="utf-8")


def machine(*, dry: bool) -> Found:
    """Tell what runs here.

    :raises RuntimeError: torch finds no GPU.
    """
    for name in ("torch", "triton", "transformers", "vllm"):
        there = importlib.util.find_spec(name)
        yield name, importlib.metadata.version(name) if there else None
    if dry:
        yield "gpu", None
        return
    if not torch.cuda.is_available():
        raise RuntimeError("torch finds no GPU: install torch for CUDA and `pip install triton`")
    properties = torch.cuda.get_device_properties(0)
    yield "gpu", properties.name
    yield "capability", f"{properties.major}.{properties.minor}"
    yield "memory_gib", round(properties.total_memory / 2**30)
    yield "cuda", torch.version.cuda


def checks(*, dry: bool) -> Found:
    """Compare the kernels with the reference; outside a dry run, also their tests.

    :raises RuntimeError: a case does not hold.
    """
    cases = _printed(str(TESTS / "gpu_interpreted.py"), *([] if dry else ["cuda"])).splitlines()
    yield "cases", len(cases)
    if not dry:
        yield "tests", _printed("-m", "pytest", "-q", str(TESTS / "test_gpu.py")).splitlines()[-1]


def _printed(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]}: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout


def tiles(*, dry: bool) -> Found:
    """Tune the tiles of two models' shapes, and write their tables."""
    import tune_gpu

    from expertrag_kernels.gpu.tiles import Tiles

    if dry:
        small = tune_gpu.draw(3, 32, 32, "bfloat16", "cpu")
        candidates = [Tiles(16, 32, 32, 4, 2), Tiles(32, 32, 32, 4, 2)]
        yield "tiny", _table(tune_gpu.tuned(small, 2, (1, 4), 60.0, candidates))
        return
    for name, (count, hidden, inner, top_k) in _shapes(dry=False):
        experts = tune_gpu.draw(count, hidden, inner, "bfloat16")
        by_tokens = tune_gpu.TOKENS
        order = tune_gpu.tried(experts, top_k, by_tokens)
        table = tune_gpu.tuned(experts, top_k, by_tokens, TUNE_SECONDS, order)
        tune_gpu.write_table(experts, top_k, table)
        yield name, _table(table)


def _table(found: dict[int, tuple[float, Any]]) -> dict[str, Any]:
    return {str(tokens): {"ms": ms, "tiles": str(best)} for tokens, (ms, best) in found.items()}


def _shapes(*, dry: bool) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    from kernel_rivals import SHAPES

    if dry:
        yield "tiny", (3, 32, 32, 2)
        return
    for name in ("olmoe", "qwen3-30b-a3b"):
        count, hidden, inner, top_k, _ = SHAPES[name]
        yield name, (count, hidden, inner, top_k)


def kernels(*, dry: bool) -> Found:
    """Time a layer's experts: ours, transformers' grouped_mm, and vLLM's Triton kernel."""
    import tune_gpu
    from kernel_rivals import transformers_rivals

    from expertrag_kernels import PlainExperts, fused_experts
    from expertrag_kernels.gpu.experts import launch
    from expertrag_kernels.gpu.tiles import Tiles

    device = torch.device("cpu" if dry else "cuda")
    for name, (count, hidden, inner, top_k) in _shapes(dry=dry):
        layer = tune_gpu.draw(count, hidden, inner, "bfloat16", str(device))
        assert isinstance(layer, PlainExperts), "they were not rounded"
        sides: dict[str, Run] = {"ours": partial(fused_experts, experts=layer)}
        if dry:
            some = Tiles(16, 32, 32, 4, 2)
            sides["ours"] = partial(launch, experts=layer, tiles=some, upcast=True)
        for rival in transformers_rivals([layer], compiled=False):
            sides[rival.name] = rival.layers[0]
        if importlib.util.find_spec("vllm"):
            sides["vLLM"] = partial(_vllm_experts, layer)
        for tokens in (1, 4) if dry else (1, 8, 64, 512, 4096):
            x = torch.randn(tokens, hidden, device=device, dtype=torch.bfloat16)
            index = torch.rand(tokens, count, device=device).topk(top_k).indices
            weights = torch.rand(tokens, top_k, device=device)
            yield f"{name}, {tokens} tokens", _compared(sides, (x, index, weights), device)


def _compared(sides: dict[str, Run], call: Any, device: torch.device) -> dict[str, Any]:
    """Milliseconds of each, and its distance from the plainest; an error is only its own."""
    import tune_gpu

    found: dict[str, Any] = {}
    wanted = sides["eager"](*call).float()
    for name, run in sides.items():
        try:
            result = run(*call).float()
            found[name] = {
                "ms": tune_gpu.timed(partial(run, *call), device),
                "difference": float((result - wanted).norm() / wanted.norm()),
            }
        except Exception as error:  # a rival of another version
            found[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
    return found


def _vllm_experts(
    layer: Any, x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    library = importlib.import_module("vllm.model_executor.layers.fused_moe")
    run: Run = library.fused_experts
    return run(x, layer.gate_up, layer.down, weights, index.int())


def generation(*, dry: bool) -> Found:
    """Tokens per second of our engine, with CUDA graphs, and of transformers."""
    from generation_runs import generated, write

    from expertrag.llm.engine.engine import Engine
    from expertrag.llm.engine.lowering import lower
    from expertrag_kernels import Format
    from expertrag_kernels.torch_decoder import TorchDecoder

    device = torch.device("cpu" if dry else "cuda")
    dtype = torch.float32 if dry else torch.bfloat16
    with torch.no_grad():
        model = _tiny_model() if dry else _model(dtype)
        make = partial(TorchDecoder, device=device, dtype=dtype)
        lowered = lower(model, Format.BF16, cache_bytes=2 << 30, context_tokens=512, make=make)
        model = model.to(device)
    engine = Engine(lowered.decoder, speculate=False, prefix_caching=False)
    length, tokens = (8, 4) if dry else (128, 64)
    for texts in (1, 2) if dry else (1, 8, 64):
        prompts = _prompts(model.config.vocab_size, texts, length)
        write(engine, prompts, 2)  # captures the graph
        ours, theirs = write(engine, prompts, tokens), generated(model, prompts, tokens)
        pairs = zip(ours.drawn, theirs.drawn, strict=True)
        same = [one == other for pair in pairs for one, other in zip(*pair, strict=True)]
        found = {"ours": ours.tokens_per_s, "transformers": theirs.tokens_per_s}
        yield f"{texts} texts", {**found, "same tokens": sum(same) / len(same)}
    engine.stop()


def vllm(*, dry: bool) -> Found:
    """Tokens per second of vLLM for the same model and texts, where it is installed."""
    if dry or not importlib.util.find_spec("vllm"):
        yield "skipped", "vLLM is not installed"
        return
    library = importlib.import_module("vllm")
    from expertrag import models

    server = library.LLM(
        model=str(models.path(MODEL)),
        dtype="bfloat16",
        gpu_memory_utilization=0.5,
        max_model_len=512,
        enable_prefix_caching=False,
    )
    how = library.SamplingParams(temperature=0.0, max_tokens=64, ignore_eos=True)
    for texts in (1, 8, 64):
        prompts = [{"prompt_token_ids": ids} for ids in _prompts(49152, texts, 128)]
        server.generate(prompts, how, use_tqdm=False)
        started = time.perf_counter()
        server.generate(prompts, how, use_tqdm=False)
        yield f"{texts} texts", 64 * texts / (time.perf_counter() - started)


def _prompts(vocabulary: int, texts: int, length: int) -> list[list[int]]:
    draw = torch.Generator().manual_seed(texts)
    found: list[list[int]] = torch.randint(20, vocabulary, (texts, length), generator=draw).tolist()
    return found


def _model(dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    from expertrag import models

    load: Any = AutoModelForCausalLM.from_pretrained
    return load(models.path(MODEL), dtype=dtype).eval()


def _tiny_model() -> Any:
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": 200,
        "hidden_size": 32,
        "intermediate_size": 48,
        "moe_intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 512,
    }
    model: Any = Qwen3MoeForCausalLM(Qwen3MoeConfig(**shape))
    return model.eval()


STAGES: dict[str, Callable[..., Found]] = {
    "machine": machine,
    "checks": checks,
    "tiles": tiles,
    "kernels": kernels,
    "generation": generation,
    "vllm": vllm,
}


if __name__ == "__main__":
    main()
