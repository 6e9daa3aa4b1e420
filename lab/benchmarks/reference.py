"""Compare `expertrag eval` with published figures on the same data.

    python lab/benchmarks/reference.py --data ../shared/data --json lab/results/reference.json

Runs the commands as a user would and compares their output. The exit code is 1 if a figure is
outside its tolerance. Sources: the BEIR and MTEB result tables for retrieval; the predictions
published with AdaRAGUE (Moskvoretskii et al. 2025), rescored, for the policies.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import results_file

RETRIEVAL = {  # nDCG@10, ± .01
    ("scifact", "bm25"): 0.679,
    ("scifact", "dense"): 0.645,
    ("legalsum", "dense"): 0.590,
}
POLICIES = {  # never, one step, oracle of both; ± .001
    "nq": (0.388, 0.454, 0.550),
    "squad": (0.178, 0.290, 0.348),
    "triviaqa": (0.678, 0.680, 0.766),
    "hotpotqa": (0.298, 0.404, 0.466),
    "2wikimultihopqa": (0.282, 0.346, 0.448),
    "musique": (0.104, 0.130, 0.184),
}
CODE = (
    "lab/expertrag_lab/eval",
    "lab/expertrag_lab/metrics",
    *results_file.SEARCH,
    "lab/benchmarks/reference.py",
)


@dataclass(frozen=True, slots=True)
class Check:
    """A measured figure, the published one, and the tolerance."""

    name: str
    published: float
    measured: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the figure is within tolerance, allowing for rounding of the published one."""
        return abs(self.measured - self.published) <= self.tolerance + 1e-9


def main() -> int:
    """Run the commands, compare the figures, and print them."""
    parser = results_file.parser(__doc__, "--data")
    options = parser.parse_args()
    checks = [*retrieval(options.data), *policies(options.data)]
    for check in checks:
        verdict = "ok" if check.passed else "MISSED"
        print(
            f"{check.name:<42} {check.measured:.4f}  published {check.published:.3f} "
            f"± {check.tolerance}  {verdict}"
        )
    passed = all(check.passed for check in checks)
    print("PASSED" if passed else "MISSED")
    rows = [{**asdict(check), "passed": check.passed} for check in checks]
    results_file.write(options.json, {"passed": passed, "checks": rows}, CODE)
    return 0 if passed else 1


def retrieval(data: Path) -> Iterator[Check]:
    """Yield checks of BM25 and all-MiniLM-L6-v2 over whole documents."""
    names = list(dict.fromkeys(name for name, _ in RETRIEVAL))
    folders = [str(data / name) for name in names]
    report = evaluate("retrieval", *folders, "--modes", "bm25,dense", "--metrics", "nDCG@10")
    for (name, mode), published in RETRIEVAL.items():
        measured = report["datasets"][name][mode]["nDCG@10"]
        yield Check(f"{name} {mode} nDCG@10", published, measured, 0.01)


def policies(data: Path) -> Iterator[Check]:
    """Yield checks of Llama-3.1-8B-Instruct's recorded answers, by policy."""
    report = evaluate("gate", str(data / "adarague" / "dev"))
    for name, published in POLICIES.items():
        for policy, value in zip(("never", "always", "oracle"), published, strict=True):
            measured = report["sets"][name][policy]["accuracy"]
            yield Check(f"{name} {policy} accuracy", value, measured, 0.001)


def evaluate(*arguments: str) -> Any:
    """Run `expertrag eval … --json`; progress goes to stderr."""
    command = [sys.executable, "-m", "expertrag", "eval", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
