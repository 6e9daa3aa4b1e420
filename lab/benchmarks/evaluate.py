"""Run all evaluations into one report: retrieval, answers, gate, cost and consistency.

    python lab/benchmarks/evaluate.py small --out .eval/small
    python lab/benchmarks/evaluate.py full --data ../shared/data --out .eval/full --json FILE

Runs the commands that a user would type, and combines their reports on one page with `expertrag
eval report`. ``small`` uses the repository's own samples and takes less than five minutes; ``full``
takes hours the first time, and can be interrupted and resumed. With --json, the headline figures,
without values per query, are written to a file.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import results_file

SAMPLES = Path(__file__).parents[2] / "tests" / "data"
QUESTIONS = ("squad2", "hotpotqa", "popqa", "pubmedqa", "pydocs")
BULKY = {"per_query", "worst", "risk_coverage", "frontier", "least_consistent", "skipped"}
CODE = (
    *results_file.ANSWERS,
    "lab/expertrag_lab/eval",
    "lab/expertrag_lab/metrics",
    "lab/benchmarks/evaluate.py",
)


def small(_data: Path) -> Mapping[str, list[str]]:
    """Commands on samples of SQuAD 2.0, the Python documentation and AdaRAGUE, default models."""
    squad, pydocs = str(SAMPLES / "squad_small"), str(SAMPLES / "beir_small")
    return {
        "retrieval": [squad, pydocs],
        "answer": [squad, "--limit", "15"],
        "gate": [str(SAMPLES / "adarague_small")],
        "cost": [squad, "--limit", "5"],
        "consistency": [squad, "--limit", "5", "--no-answers"],
    }


def full(data: Path) -> Mapping[str, list[str]]:
    """Commands on every test split for retrieval, and on 100 questions of five sets for answers."""
    sets = sorted(str(path.parent) for path in data.glob("*/qrels"))
    asked = [str(data / name) for name in QUESTIONS]
    return {
        "retrieval": sets,
        "answer": [*asked, "--limit", "100"],
        "gate": [str(data / "adarague" / "dev")],
        "cost": [*asked, "--limit", "10"],
        "consistency": [*asked, "--limit", "10"],
    }


PROFILES = {"small": small, "full": full}


def main() -> int:
    """Run the commands of a profile in sequence."""
    parser = results_file.parser(__doc__)
    parser.add_argument("profile", choices=PROFILES)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--only", type=lambda names: names.split(","), help="comma-separated parts")
    options = parser.parse_args()
    if options.profile == "full" and not options.data.is_dir():
        parser.error(f"no folder {options.data}; name the folder of data sets with --data")
    started = time.monotonic()
    parts = PROFILES[options.profile](options.data)
    reports = []
    for part in options.only or parts:
        expertrag("eval", part, *parts[part], "--out", str(options.out / part))
        reports.append(options.out / part)
    expertrag("eval", "report", *map(str, reports), "--out", str(options.out))
    if options.json:
        written = [json.loads((report / "report.json").read_text()) for report in reports]
        made = {report["kind"]: report for report in slim(written)}
        known = results_file.read(options.json)
        if known.get("profile") == options.profile:  # --only replaces the parts that it names
            made = {report["kind"]: report for report in known["reports"]} | made
        body = {
            "profile": options.profile,
            "reports": [made[kind] for kind in parts if kind in made],
        }
        results_file.write(options.json, body, CODE, options.only or parts)
    print(f"done in {time.monotonic() - started:.0f} s: open {options.out / 'report.html'}")
    return 0


def expertrag(*arguments: str) -> None:
    """Print and run a command; a failure ends the benchmark with its exit code."""
    print(f"$ expertrag {shlex.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "expertrag", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def slim(value: Any) -> Any:
    """Drop the values per query."""
    if isinstance(value, dict):
        return {key: slim(item) for key, item in value.items() if key not in BULKY}
    return [slim(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
