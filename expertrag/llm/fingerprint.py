"""Names and fingerprints of model folders, without reading gigabytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from expertrag.llm.gguf_names import part_names

_SAMPLES = 16  # of each weights file
_SAMPLE_BYTES = 64 * 1024
_READ_WHOLE = ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja")


def package_name(folder: Path) -> str | None:
    """Name under which ``expertrag models pull`` fetched a folder; None for any other folder."""
    return package_value(folder, "name")


def package_value(folder: Path, key: str) -> str | None:
    """Read a value from the card of a pulled folder; None for any other folder."""
    try:
        value = json.loads((folder / "card.json").read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(value)


def fingerprint(folder: Path, gguf: str | None = None) -> str:
    """Hash what determines a model's answers: small files whole, weights by header and samples.

    Fine-tuned weights keep header and size, so evenly spaced samples of them are hashed too. For a
    packed folder, the hash covers its source's fingerprint and its dtype. So it is the same on
    every machine, whatever library versions wrote the small files.

    :param gguf: name of the GGUF file in the folder, if it holds the whole model; of a file in
        several parts, the name of any part, and the hash covers them all.
    """
    if gguf:
        parts = [_sample(folder / name) for name in part_names(gguf)]
        hashed = parts[0] if len(parts) == 1 else hashlib.sha256(b"".join(parts)).digest()
        return hashed.hex()[:16]
    digest = hashlib.sha256()
    if packed_from := _read_packed_from(folder):
        return hashlib.sha256(packed_from.encode()).hexdigest()[:16]
    for name in _READ_WHOLE:
        path = folder / name
        if path.is_file():
            digest.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.name.encode() + _sample(path))
    return digest.hexdigest()[:16]


def source_fingerprint(folder: Path, gguf: str | None = None) -> str:
    """Return the fingerprint of the model that a folder was packed from, or of any other model."""
    packed_from = None if gguf else _read_packed_from(folder)
    return packed_from.partition(" ")[0] if packed_from else fingerprint(folder, gguf)


def _read_packed_from(folder: Path) -> str | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(config["packed_from"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            header_bytes = int.from_bytes(file.read(8), "little")
            digest.update(file.read(min(header_bytes, size)))
        for sample in range(_SAMPLES):
            file.seek(size * sample // _SAMPLES)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.digest()
