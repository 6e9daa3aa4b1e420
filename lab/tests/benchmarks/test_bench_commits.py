"""Ratios of two versions that ran in turn, and their intervals."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import bench_commits
import pytest
from bench_commits import Version, check, compared, interval


def test_a_machine_that_changes_its_speed_does_not_change_the_ratio() -> None:
    slow = [1.0 if round < 20 else 3.0 for round in range(40)]  # by 3 half way, for both versions
    found = compared([1.2 * factor for factor in slow], slow)
    assert found["ratio"] == found["low"] == found["high"] == pytest.approx(1.2)
    assert found["fastest"] == pytest.approx(1.2)
    assert found["before_ms"] == pytest.approx(1.2 * found["now_ms"])


def test_ratios_are_above_one_where_the_checkout_is_faster() -> None:
    found = compared([2.0, 4.0, 3.0], [1.0, 1.0, 1.0])
    assert found["ratio"] == 3.0
    assert found["fastest"] == 2.0
    assert 2.0 <= found["low"] <= found["ratio"] <= found["high"] <= 4.0


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    rng = random.Random(3)
    held = 0
    for _ in range(60):
        low, high = interval([rng.gauss(1.0, 0.1) for _ in range(40)])
        held += low <= 1.0 <= high
    assert 52 <= held <= 60  # 57 are expected


def test_more_rounds_narrow_the_interval() -> None:
    rng = random.Random(5)
    values = [rng.gauss(1.0, 0.1) for _ in range(400)]
    (few_low, few_high), (low, high) = interval(values[:20]), interval(values)
    assert high - low < (few_high - few_low) / 2


def test_versions_that_import_the_same_file_are_refused() -> None:
    check([["a/expertrag_kernels/__init__.py"], ["b/expertrag_kernels/__init__.py"]])
    with pytest.raises(SystemExit, match=r"both versions import a/x\.py"):
        check([["a/x.py", "a/y.py"], ["b/y.py", "a/x.py"]])


def test_a_version_answers_until_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import sys\n"
        'print(\'{"imported": ["a"], "cases": ["one"]}\', flush=True)\n'
        "for line in sys.stdin:\n"
        "    if line == 'end\\n':\n"
        "        break\n"
        "    print(0.25, flush=True)\n"
    )
    monkeypatch.setattr(bench_commits, "WORKER", worker)
    monkeypatch.setattr("expertrag.models.resolve", lambda name: name)
    version = Version(Path(sys.executable), "experts bf16")
    try:
        assert version.about["cases"] == ["one"]
        assert version.seconds("one") == 0.25
        with pytest.raises(SystemExit, match="did not answer"):
            version.seconds("end")
    finally:
        version.stop()
