"""What GGUF types and our formats of their weights lose: divergence and perplexity.

    python lab/benchmarks/gguf_loss.py --llamacpp FOLDER --json FILE

For each type, llama.cpp writes a file of SmolLM2-135M (``gguf_models.py``). Its weights in float32
are compared with the model's own: what the file lost. Our formats, packed from the file, are
compared with the file's weights in float32: what packing adds; llama.cpp's own computation of the
file, too. The divergence is the mean Kullback-Leibler divergence of the next token, in nats.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import gguf_models
import numpy as np
import results_file
import torch
from generation_llamacpp import LlamaCpp, library
from generation_runs import logits_of

from expertrag import models
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag.llm.load.checkpoint import Streamed
from expertrag.llm.load.loading import ModelFiles, quiet
from expertrag.llm.load.source import ModelSource
from expertrag_kernels import Format
from expertrag_lab.convert.gguf import write_gguf
from expertrag_lab.data.datasets import load_dataset

BASE = "smollm2-135m-instruct-moe"
TEXTS = results_file.ROOT / "tests" / "data" / "squad_small"
FORMATS = {"bfloat16": Format.BF16, "int8": Format.INT8, "int4": Format.INT4}
CODE = (
    *results_file.ENGINE,
    "lab/benchmarks/gguf_loss.py",
    "lab/benchmarks/gguf_models.py",
    "lab/benchmarks/generation_llamacpp.py",
)
Said = list[torch.Tensor]
"""Log probabilities after each token of each window but the last, [T - 1, V]."""


def main() -> None:
    """Measure, print the figures, and write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--llamacpp", type=Path, required=True, help="folder of llama-cpp-python")
    parser.add_argument("--types", nargs="*", choices=gguf_models.TYPES)
    parser.add_argument("--windows", type=int, default=4, help="texts of 256 tokens")
    given = parser.parse_args()
    llama_cpp = library(given.llamacpp)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source.gguf"
        write_source(source)
        windows = windows_of(source, given.windows)
        own = said_by_ours(model_of(source), Format.F32, windows)
        body = {
            "tokens": sum(len(window) - 1 for window in windows),
            "perplexity": perplexity(own, windows),
            "rows": rows,
        }
        for type in given.types or gguf_models.TYPES:
            file = Path(scratch) / f"{type}.gguf"
            gguf_models.rounded(llama_cpp, source, file, type)
            rows.append({"type": type, **losses(file, windows, own, given.llamacpp)})
            file.unlink()
            print(rows[-1], file=sys.stderr, flush=True)
            if given.json != "-":  # after each type, because all take a while
                results_file.write(given.json, body, CODE)
    if given.json == "-":
        results_file.write(given.json, body, CODE)


def write_source(file: Path) -> None:
    """Write the model in bfloat16.

    :raises ValueError: the model that fits all types has another function than the original.
    """
    with quiet(), tempfile.TemporaryDirectory(dir=file.parent) as folder, torch.inference_mode():
        base = load_dense(models.path(BASE))
        made = gguf_models.mixed(base.model)
        ids = torch.arange(100, 164)[None]
        wanted, found = base.model(ids).logits, made(ids).logits
        if (wanted - found).norm() > 1e-4 * wanted.norm():
            raise ValueError("the widened model computes something else")
        made.bfloat16().save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)
        write_gguf(Path(folder), file, "bfloat16")


def windows_of(file: Path, count: int, size: int = 256) -> list[list[int]]:
    """Return the first texts of a data set as windows of tokens."""
    with quiet():
        tokenizer = ModelSource(ModelFiles(file.parent, file.name)).tokenizer
    text = "\n\n".join(document.text for document in load_dataset(TEXTS).documents())
    ids = tokenizer(text[: count * size * 8], verbose=False)["input_ids"]
    windows = [ids[at * size : (at + 1) * size] for at in range(count)]
    if len(windows[-1]) < size:
        raise ValueError(f"{TEXTS.name} has too little text for {count} windows")
    return windows


def losses(file: Path, windows: Sequence[list[int]], own: Said, llamacpp: Path) -> dict[str, Any]:
    """Return the losses of a file, and of what is packed from it."""
    model = model_of(file)
    exact = said_by_ours(model, Format.F32, windows)
    found: dict[str, Any] = {
        "bits": bits_of(file),
        "file": {"divergence": divergence(own, exact), "perplexity": perplexity(exact, windows)},
    }
    others = {name: said_by_ours(model, format, windows) for name, format in FORMATS.items()}
    others["llama.cpp"] = said_by_llamacpp(file, windows, llamacpp)
    for name, said in others.items():
        found[name] = {
            "divergence": divergence(exact, said),
            "of the model": divergence(own, said),
            "perplexity": perplexity(said, windows),
        }
    return found


def bits_of(file: Path) -> float:
    """Return the bits of a weight of the matrices."""
    matrices = [tensor for tensor in gguf.GGUFReader(file).tensors if len(tensor.shape) > 1]
    return float(8 * sum(t.n_bytes for t in matrices) / sum(t.n_elements for t in matrices))


def model_of(file: Path) -> Any:
    """Load a file's weights in float32, from which formats are packed."""
    with quiet():
        source = ModelSource(ModelFiles(file.parent, file.name))
        model = source.outline(torch.float32)
        Streamed(model, source.checkpoint(model)).fill()
    return model


def said_by_ours(model: Any, format: Format, windows: Sequence[list[int]]) -> Said:
    """Run a model on our engine, packed in a format."""
    lowered = lower(model, format, cache_bytes=64 << 20, context_tokens=512)
    engine = Engine(lowered.decoder)
    said = [logits_of(engine, window).log_softmax(-1) for window in windows]
    engine.stop()
    return said


def said_by_llamacpp(file: Path, windows: Sequence[list[int]], folder: Path) -> Said:
    """Run a file in llama.cpp."""
    model = LlamaCpp(folder, file, texts=1, context_tokens=512)
    said = [
        torch.from_numpy(np.stack(model.logits(window)[:-1])).log_softmax(-1) for window in windows
    ]
    model.stop()
    return said


def divergence(wanted: Said, found: Said) -> float:
    """Mean of KL(wanted || found) over all tokens, in nats."""
    each = [(one.exp() * (one - other)).sum(-1) for one, other in zip(wanted, found, strict=True)]
    return float(torch.cat(each).double().mean())


def perplexity(said: Said, windows: Sequence[list[int]]) -> float:
    """Perplexity of all tokens of the windows but the first of each."""
    each = [
        one.gather(1, torch.tensor(window[1:])[:, None])
        for one, window in zip(said, windows, strict=True)
    ]
    return float((-torch.cat(each).double().mean()).exp())


if __name__ == "__main__":
    main()
