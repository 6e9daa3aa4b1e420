"""Measuring a real generator in its own process, and storing the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sliced_models import NAME

from expertrag import models
from expertrag.api.errors import ExpertRAGError
from expertrag.models import card
from expertrag.models.bench import bench
from expertrag.models.registry import PACKED_LAYOUT


def state() -> models.ModelState:
    return next(state for state in models.listing() if state.name == NAME)


@pytest.mark.slow
def test_a_package_model_is_measured_and_stored(
    sliced: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures of any other folder are not stored."""
    folder = models.pull(NAME)
    moved = folder.rename(tmp_path / "moved")
    assert bench(str(moved), str(moved)).cores > 0
    assert not list(models.cache_folder().rglob("*.bench.json"))
    moved.rename(folder)
    assert state().speed is None
    speed = bench(NAME, str(folder))
    assert 1100 < speed.prompt_tokens < 1260
    assert speed.first_token_s > 0 and speed.tokens_per_s > 1
    assert speed.prompt_tokens_per_s == pytest.approx(
        speed.prompt_tokens / speed.first_token_s, rel=0.1
    )
    assert 50 << 20 < speed.memory_bytes < 4 << 30
    assert state().speed == speed
    monkeypatch.setattr(card, "PACKED_LAYOUT", PACKED_LAYOUT + 1)  # another layout: not this build
    assert state().speed is None


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "\x00", '{"prompt_tokens": 1}'])
def test_a_damaged_record_is_ignored(sliced: Any, text: str) -> None:
    file = models.path(NAME).with_name(f"{NAME}.bench.json")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert state().speed is None


def test_an_unloadable_model_is_reported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "none"}))
    with pytest.raises(ExpertRAGError, match="cannot be loaded"):
        bench("x", str(tmp_path))
