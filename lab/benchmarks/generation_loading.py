"""Time and memory to load a model into the engine; a part of ``bench_generation.py``.

Each load runs in a separate process. ``whole`` loads the model with transformers before packing it,
``streamed`` reads it layer by layer, ``packed`` maps a packed model. All files are in the page
cache. Peaks are of resident memory, minus what the process used before the load.
"""

from __future__ import annotations

import functools
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from generation_runs import write
from safetensors.torch import save_file
from transformers import OlmoeConfig

from expertrag import models
from expertrag.api.types import Sampling
from expertrag.llm import Message
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.loading import PACKED_FILE, model_files, quiet
from expertrag.llm.load.packed_loading import DTYPES
from expertrag.llm.load.packing import pack_folder
from expertrag.llm.load.source import ModelSource
from expertrag.llm.network import Limits
from expertrag_kernels import load_packed

WAYS = ("whole", "streamed", "packed")


def loading(
    name: str, gguf: Path | None, prompts: list[list[int]], *, quick: bool
) -> dict[str, Any]:
    """Load the model, a GGUF file and a large random model, each in every way."""
    rounds = 1 if quick else 2
    found: dict[str, Any] = {}
    for dtype in ("bfloat16", "int4") if gguf else ():
        assert gguf is not None
        found[f"gguf {dtype}"] = _rows({"whole": gguf, "streamed": gguf}, dtype, 1)
        print("gguf", dtype, json.dumps(found[f"gguf {dtype}"]), file=sys.stderr)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(models.resolve(name))
        large = _large(Path(place) / "large", folder, layers=2 if quick else 12)
        for title, model in (("default", folder), ("large", large)):
            for dtype in ("bfloat16", "int4"):
                packed = Path(place) / f"{title}-{dtype}"
                pack_folder(str(model), dtype, packed, lambda *_: None)
                sources = dict(zip(WAYS, (model, model, packed), strict=True))
                rows = _rows(sources, dtype, rounds)
                rows["packed_mib"] = (packed / PACKED_FILE).stat().st_size / 2**20
                found[f"{title} {dtype}"] = rows
                if title == "default":
                    found[f"mapped {dtype}"] = _mapped(packed, dtype, prompts, quick=quick)
                print(title, dtype, json.dumps(rows), file=sys.stderr)
                if title == "large":
                    shutil.rmtree(packed)
    return found


def _rows(sources: dict[str, Path], dtype: str, rounds: int) -> dict[str, Any]:
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in sources}
    for _ in range(rounds):
        for way in random.sample(list(sources), len(sources)):
            command = [sys.executable, __file__, way, str(sources[way]), dtype]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            runs[way].append(json.loads(output))
    return {
        way: {figure: statistics.median(run[figure] for run in some) for figure in some[0]}
        for way, some in runs.items()
    }


def _mapped(folder: Path, dtype: str, prompts: list[list[int]], *, quick: bool) -> dict[str, float]:
    """Compare the speed with mapped weights and with weights in huge pages, text by text."""
    engines = {}
    with quiet():
        source = ModelSource(model_files(str(folder)))
        for mapped in (True, False):
            packed = load_packed(folder / PACKED_FILE, mapped=mapped)
            lowered = lower(
                source.outline(source.config.dtype),
                DTYPES[dtype],
                cache_bytes=1 << 28,
                context_tokens=2048,
                packed=packed,
            )
            engines[mapped] = Engine(lowered.decoder, speculate=False, prefix_caching=False)
    seconds: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for prompt in prompts[: 4 if quick else 24]:
        for mapped in random.sample([True, False], 2):
            run = write(engines[mapped], [prompt], 64)
            seconds[mapped].append((run.first[0], run.seconds - run.first[0]))
    for engine in engines.values():
        engine.stop()
    pairs = list(zip(seconds[True], seconds[False], strict=True))[1:]
    return {
        "tokens_per_s": statistics.median(63 / mapped[1] for mapped, _ in pairs),
        "ratio_tokens_per_s": statistics.median(copied[1] / mapped[1] for mapped, copied in pairs),
        "ratio_prompt": statistics.median(copied[0] / mapped[0] for mapped, copied in pairs),
    }


def _large(folder: Path, tokenizer: Path, *, layers: int) -> Path:
    """Write a random OLMoE-type model with separate experts, one file per layer."""
    folder.mkdir()
    config = OlmoeConfig(
        vocab_size=49152,
        hidden_size=1024,
        intermediate_size=1024,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=16,
        num_experts=32,
        num_experts_per_tok=4,
        eos_token_id=2,
    )
    config.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tokenizer / name, folder)
    new = functools.partial(torch.normal, 0.0, 0.02)
    square = (1024, 1024)
    ends = {
        "model.embed_tokens.weight": new((49152, 1024)),
        "model.norm.weight": torch.ones(1024),
        "lm_head.weight": new((49152, 1024)),
    }
    places = dict.fromkeys(ends, "ends.safetensors")
    _save(ends, folder / "ends.safetensors")
    for layer in range(layers):
        at = f"model.layers.{layer}"
        names = [f"{at}.self_attn.{part}_proj.weight" for part in "qkvo"]
        names += [
            f"{at}.mlp.experts.{expert}.{part}_proj.weight"
            for expert in range(32)
            for part in ("gate", "up", "down")
        ]
        weights = {name: new(square) for name in names}
        weights[f"{at}.mlp.gate.weight"] = new((32, 1024))
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{at}.{norm}.weight"] = torch.ones(1024)
        for norm in ("q_norm", "k_norm"):
            weights[f"{at}.self_attn.{norm}.weight"] = torch.ones(1024)
        places |= dict.fromkeys(weights, f"{layer}.safetensors")
        _save(weights, folder / f"{layer}.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def _save(weights: dict[str, torch.Tensor], path: Path) -> None:
    save_file({n: w.bfloat16() for n, w in weights.items()}, path, metadata={"format": "pt"})


def _status(field: str) -> float:
    """Return a memory field of this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def main() -> None:
    """Load one model in this process, and print time and memory."""
    way, name, dtype = sys.argv[1:]
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = _status("VmRSS")
    started = time.perf_counter()
    if way == "whole":
        _load_whole(name, dtype)
    else:
        generator = TransformersGenerator.load(name, dtype=dtype)
    found = {"seconds": time.perf_counter() - started, "peak_mib": _status("VmHWM") - before}
    if way != "whole":
        session = generator.begin([Message("user", "Hello")], Sampling(max_tokens=1))
        list(session.stream())
        found["first_token_s"] = time.perf_counter() - started
    print(json.dumps(found))


def _load_whole(name: str, dtype: str) -> None:
    """Load as the back end did before, and as it does if it cannot stream."""
    with quiet():
        source = ModelSource(model_files(name))
        model = source.whole(name, torch.bfloat16)
        limits = Limits.of(model, source.tokenizer)
        lowered = lower(
            model, DTYPES[dtype], cache_bytes=1 << 30, context_tokens=limits.context_tokens
        )
        NativeNetwork(lowered, limits)


if __name__ == "__main__":
    main()
