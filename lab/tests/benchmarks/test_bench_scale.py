"""The harness of ``bench_scale.py`` at a tiny size: every part, resuming, and its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench_scale
import pytest
from scale_engines import bm25_weights, code, fused, lists_for
from scale_measures import (
    drop_page_cache,
    folder_bytes,
    memory,
    peak_memory,
    percentiles,
    timed,
    written,
)
from scale_tables import engines, ours

SIZE = "1000"


def run(monkeypatch: pytest.MonkeyPatch, work: Path, *options: str) -> dict[str, Any]:
    target = work / "out.json"
    command = ["bench_scale.py", "--sizes", SIZE, "--work", str(work), "--json", str(target)]
    monkeypatch.setattr(sys, "argv", [*command, *options])
    monkeypatch.setattr(bench_scale, "QUESTIONS", 800)  # as many as are asked
    bench_scale.main()
    found: dict[str, Any] = json.loads(target.read_text())
    return found


@pytest.mark.slow
def test_parts_are_measured_once(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    minilm_path: Path,
    reader_path: Path,
) -> None:
    measured = (
        "exact",
        "build",
        "search",
        "writes",
    )  # make lab-bench-quick runs all of them
    options = ("--parts", *measured)
    found = run(monkeypatch, tmp_path, *options)
    parts = found["sizes"][SIZE]
    assert set(parts) == set(measured)
    assert parts["build"]["chunks"] == 1_000
    assert parts["build"]["peak_rss_mb"] > parts["build"]["peak_anon_mb"] > 10
    assert parts["search"]["recall_at_10"] > 0.99, "the store is small, so that search is exact"
    assert parts["search"]["hybrid"]["found"] > 0.9
    assert parts["writes"]["1 % of the documents"]["written_bytes"] > 0
    assert set(_column(list(ours(found)))) > {"-"}
    assert "| 1,000 | ours |" in capsys.readouterr().out

    again = run(monkeypatch, tmp_path, *options, "--again", "search")
    assert again["measured"][f"{SIZE}, build"] == found["measured"][f"{SIZE}, build"]
    unlike = {part for part in parts if again["sizes"][SIZE][part] != parts[part]}
    assert unlike <= {"search"}
    assert "writes:" not in capsys.readouterr().err, "it was measured again"


def _column(table: Sequence[str]) -> list[str]:
    return [row.split(" | ")[1].removesuffix(" |") for row in table[2:]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sizes", "10"], "at least 1,000"),
        (["--sizes", "1000000000000"], "free"),
        (["--rivals", "nowhere"], "make lab-bench-scale"),
    ],
)
def test_what_cannot_run_says_why(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, *options)
    assert message in capsys.readouterr().err


def test_an_engine_that_is_late_is_reported() -> None:
    late = {"build": {"finished": False, "limit_s": 240.0, "chunks": 5}}
    built = {"build": {"finished": True, "chunks_per_s": 10.0}, "search": late["build"]}
    rows = list(engines({"sizes": {"1000": {"qdrant": late, "lancedb": built}}}))
    assert rows[-2].count("not finished in 240 s") == 6
    assert "| LanceDB | 10 | - | not finished" in rows[-1]


def test_percentiles() -> None:
    found = percentiles([0.5, *(number / 1000 for number in range(1, 101))])
    assert found["p50_ms"] == 51
    assert found["p95_ms"] == 96
    assert found["worst_ms"] == found["first_ms"] == 500
    assert found["calls"] == 101


def test_calls_end_at_the_limit() -> None:
    assert timed([lambda: None] * 9)["calls"] == 9
    assert timed([lambda: None] * 9, limit_s=0)["calls"] == 5


def test_bytes_written_are_counted(tmp_path: Path) -> None:
    before = written()
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= written() - before < 1_500_000
    drop_page_cache(tmp_path)
    assert folder_bytes(tmp_path) == 1_000_000


def test_memory_of_a_child_of_a_child_counts() -> None:
    grow = "import time; held = bytearray(b'x' * 50_000_000); print(len(held)); time.sleep(60)"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grow!r}])"
    with subprocess.Popen([sys.executable, "-c", nested], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with peak_memory(process.pid, every_s=0.01) as peak:
            process.stdout.readline()
            while peak.anon < 50_000_000:
                assert process.poll() is None
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert memory(child)["anon"] > 50_000_000
        subprocess.run(["kill", child], check=True)
    assert peak.rss > peak.anon


def test_what_the_other_engines_are_given() -> None:
    assert fused([1, 2, 3], [3, 4]) == [3, 1, 2, 4]
    weights = bm25_weights("b b a", length=3.0)
    assert weights[code("b")] == pytest.approx(2 * 2.2 / 3.2)
    assert weights[code("a")] == pytest.approx(1.0)
    assert lists_for(10_000) == 400
    assert lists_for(10) == 10
