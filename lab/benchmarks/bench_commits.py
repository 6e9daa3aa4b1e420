"""The speed of this checkout beside that of an earlier commit, row by row.

    make lab-bench-commits BEFORE=COMMIT ARGS="--json FILE"

The machine may change its speed within seconds, so both versions run in turn, one short measurement
after the other: two processes that are kept alive, each with the code of a version and its own
build of the kernels, in a random order in each round. A ratio is the time before divided by the
time now, of the same round: above 1, this checkout is faster. Reported are the median over the
rounds with its 95 % bootstrap interval, and the ratio of the fastest times. Threads that wait do
not spin, so that the process that is not asked leaves the cores to the other.

- experts: one layer of OLMoE's shape, with 1 to 512 tokens
- engine: the small package model; a step of decode of 1 and 8 sequences, and prefill, without
  prompt lookup and prefix caching
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import results_file

from expertrag import models

MODEL = "smollm2-135m-instruct-moe"
GROUPS = (
    *(f"experts {format}" for format in ("bf16", "int8", "int4")),
    *(f"engine {format}" for format in ("f32", "bf16", "int8", "int4")),
)
RESAMPLES = 2000
Seconds = dict[str, tuple[list[float], list[float]]]
"""By case: of the version before and of that of now, round by round."""

WORKER = Path(__file__).with_name("commit_worker.py")
CODE = (*results_file.ENGINE, "lab/benchmarks/bench_commits.py", "lab/benchmarks/commit_worker.py")


def main() -> None:
    """Measure, print the rows, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument(
        "--before", type=Path, required=True, help="checkout of the commit, with its .venv"
    )
    parser.add_argument("--rounds", type=int, default=40, help="of all starts together")
    parser.add_argument("--starts", type=int, default=2, help="of the two processes")
    parser.add_argument("--groups", nargs="*", choices=GROUPS, default=list(GROUPS))
    given = parser.parse_args()
    commit = commit_of(given.before)
    pythons = given.before.absolute() / ".venv" / "bin" / "python", Path(sys.executable)
    rows = []
    for group in given.groups:
        seconds: Seconds = {}
        for start in range(given.starts):  # memory lies elsewhere each time
            rounds = len(range(start, given.rounds, given.starts))
            measure([Version(python, group) for python in pythons], rounds, seconds)
        for case, (before, now) in seconds.items():
            rows.append({"group": group, "case": case, **compared(before, now)})
            print(described(rows[-1]), file=sys.stderr, flush=True)
    body = {"before": commit, "rounds": given.rounds, "starts": given.starts, "rows": rows}
    results_file.write(given.json, body, CODE)


def commit_of(folder: Path) -> str:
    """Return the commit of a checkout.

    :raises SystemExit: files of it were changed, so that it is none.
    """
    git = ["git", "-C", str(folder)]
    status = [*git, "status", "--porcelain", "--untracked-files=no"]
    if subprocess.run(status, check=True, capture_output=True).stdout:
        raise SystemExit(f"{folder} is not as it was committed: remove it, and run make again")
    head = [*git, "rev-parse", "--short=8", "HEAD"]
    return subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()


class Version:
    """A process with the code of a version; see ``commit_worker.py``."""

    def __init__(self, python: Path, group: str) -> None:
        """Start the process, and do not wait for it.

        :param python: interpreter of an environment with the version.
        :param group: what it measures, of ``GROUPS``.
        """
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
        environment.pop("PYTHONPATH", None)  # it would go before the installed version
        self._about: dict[str, Any] = {}
        self._process = subprocess.Popen(
            # -P: nothing of this folder is imported
            [python, "-P", WORKER, *group.split(), str(models.resolve(MODEL))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def about(self) -> dict[str, Any]:
        """The files that it has imported, and its cases; waits until it has started."""
        if not self._about:
            self._about = json.loads(self._answer())
        return self._about

    def seconds(self, case: str) -> float:
        """Measure a case."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(f"{case}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()  # which closes the pipes

    def _answer(self) -> str:
        assert self._process.stdout is not None, "it is a pipe"
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a version did not answer; its messages are above")
        return line


def measure(versions: Sequence[Version], rounds: int, seconds: Seconds) -> None:
    """Ask the version before and that of now in turn, add what they took, and stop them."""
    try:
        check([version.about["imported"] for version in versions])
        cases = versions[0].about["cases"]
        took = [seconds.setdefault(case, ([], [])) for case in cases]
        for number in range(-1, rounds):  # the first round warms up
            for place in random.sample(range(len(cases)), len(cases)):
                for side in random.sample((0, 1), 2):
                    found = versions[side].seconds(cases[place])
                    if number >= 0:
                        took[place][side].append(found)
    finally:
        for version in versions:
            version.stop()


def check(imported: Sequence[Sequence[str]]) -> None:
    """Check that two versions have no imported file in common.

    :raises SystemExit: they have.
    """
    common = set(imported[0]) & set(imported[1])
    if common:
        raise SystemExit(f"both versions import {', '.join(sorted(common))}: nothing to compare")


def compared(before: Sequence[float], now: Sequence[float]) -> dict[str, float]:
    """Return milliseconds and ratios of the same rounds of both versions."""
    ratios = [old / new for old, new in zip(before, now, strict=True)]
    low, high = interval(ratios)
    return {
        "before_ms": statistics.median(before) * 1e3,
        "now_ms": statistics.median(now) * 1e3,
        "ratio": statistics.median(ratios),
        "low": low,
        "high": high,
        "fastest": min(before) / min(now),
    }


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the median (Efron & Tibshirani 1993)."""
    rng = random.Random(0)
    drawn = (rng.choices(values, k=len(values)) for _ in range(RESAMPLES))
    medians = sorted(map(statistics.median, drawn))
    return medians[RESAMPLES * 25 // 1000], medians[RESAMPLES * 975 // 1000 - 1]


def described(row: dict[str, Any]) -> str:
    """Format a row as one line."""
    return (
        f"{row['group']:<14} {row['case']:<26} {row['before_ms']:8.2f} ms, now "
        f"{row['now_ms']:8.2f} ms, ratio {row['ratio']:.3f} ({row['low']:.3f} to "
        f"{row['high']:.3f}), fastest {row['fastest']:.3f}"
    )


if __name__ == "__main__":
    main()
