"""Checksums of bundles: damage is found before a file is parsed, and a kill leaves none."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from expertrag.api.errors import ServerError
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.probe import load_probe
from expertrag.models.shipped import SHIPPED_FOLDER
from expertrag_common import checksums, durable
from expertrag_retriever.errors import EmbedderError, GateError
from expertrag_retriever.experts.bundle import base_of
from expertrag_retriever.experts.storage import read_experts
from expertrag_retriever.gate.bundle import load_gate
from expertrag_retriever.router.storage import load_router

SHIPPED: dict[str, tuple[list[Callable[[Path], object]], type[Exception]]] = {
    "qwen-gate": ([load_gate], GateError),
    "minilm-domains": ([base_of, read_experts, load_router], EmbedderError),
    "smollm2-reader": ([load_bundle], ServerError),
    "qwen-reader": ([load_bundle], ServerError),
    "qwen-probe": ([load_probe], ServerError),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_flipped_bit_in_a_shipped_bundle_is_found(name: str, tmp_path: Path) -> None:
    loaders, error = SHIPPED[name]
    folder = Path(shutil.copytree(SHIPPED_FOLDER / name, tmp_path / name))
    for load in loaders:
        load(folder)
    rng = random.Random(0)
    files = [path for path in folder.iterdir() if path.suffix in (".json", ".safetensors")]
    listed = (folder / checksums.NAME).read_text().splitlines()
    assert sorted(line[66:] for line in listed) == sorted(path.name for path in files)
    for path in files:
        whole = path.read_bytes()
        for _ in range(10):
            damaged = bytearray(whole)
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            for load in loaders:
                with pytest.raises(error, match=f"damaged.*{path.name}.*checksum"):
                    load(folder)
        path.write_bytes(whole)


def test_a_folder_without_checksums_is_read(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED_FOLDER / "qwen-gate", tmp_path / "old"))
    (folder / checksums.NAME).unlink()
    assert load_gate(folder).fingerprint == load_gate(SHIPPED_FOLDER / "qwen-gate").fingerprint


def test_sha256sum_checks_them(tmp_path: Path) -> None:
    for name, text in (("b", "2"), ("a", "1")):
        (tmp_path / name).write_text(text)
    checksums.seal(tmp_path, "b", "a")
    checksums.replace(tmp_path, "a", b"3")
    checksums.verify(tmp_path)
    command = ["sha256sum", "-c", checksums.NAME]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a: OK\nb: OK\n"


@pytest.mark.parametrize("writes", range(4))
def test_a_replacement_killed_at_any_write_leaves_a_readable_folder(
    tmp_path: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    checksums.seal(tmp_path, "a")
    left = writes
    write = durable.write_durably

    def killed(path: Path, data: bytes) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        write(path, data)

    monkeypatch.setattr(checksums, "write_durably", killed)
    try:
        checksums.replace(tmp_path, "a", b"new")
    except KeyboardInterrupt:
        assert writes < 3
    checksums.verify(tmp_path)
    assert (tmp_path / "a").read_bytes() == (b"old" if writes < 2 else b"new")
