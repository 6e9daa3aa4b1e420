"""What the service costs: calls per second, CPU per call, seconds until a write is visible.

    python lab/benchmarks/bench_service.py --index STORE --baseline PYTHON --json FILE

Parts (``--parts``):

- retrieve: one caller, then 16, each sends its next question when the last is answered. The CPU
  is that of the server's process; the callers run on the same machine.
- info: the same with Info, which only reads what is in memory: the cost of a call without a search.
- stages: CPU of each stage of a search, alone and in one process (``service_stages.py``).
- upsert: a document of 40 bytes into a copy of the store: seconds until the call returns, after
  which searches find it, and bytes that the server wrote.

``--baseline PYTHON`` alternates with another installation, whose figures are then beside ours,
with ratios. Without ``--index`` a store is built from examples/documents.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import results_file
from bench_server_start import Served, served
from service_load import INFO, cpu_seconds, load

from expertrag import DocumentInput

HERE = Path(__file__).parent
DOCUMENTS = HERE.parent / "examples" / "documents"
CALLERS = (1, 16)
CODE = (
    "expertrag/serving",
    "expertrag/wire",
    "expertrag/runtime",
    "expertrag/answer",
    "expertrag/grounding",
    "expertrag/stores",
    *results_file.SEARCH,
    "lab/benchmarks/bench_service.py",
    "lab/benchmarks/service_load.py",
    "lab/benchmarks/service_stages.py",
)
Figures = Mapping[str, float]


def main() -> None:
    """Measure, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--index", type=Path, help="store to search; it is copied for writes")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--rounds", type=int, default=3, help="servers per installation")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--upserts", type=int, default=8, help="writes per server")
    parser.add_argument("--calls", type=int, default=200, help="searches of the stages")
    parser.add_argument("--baseline", help="python of another installation to alternate with")
    parser.add_argument("options", nargs="*", help="after --: options for `expertrag serve`")
    given = parser.parse_args()
    pythons = {"here": sys.executable, **({"baseline": given.baseline} if given.baseline else {})}
    runs: dict[str, list[dict[str, Figures]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as place:
        store = _store(given.index, Path(place))
        for number in range(given.rounds):
            for name in random.sample(list(pythons), len(pythons)):
                copy = shutil.copytree(store, Path(place, f"{name}-{number}"))
                runs[name].append(_round(pythons[name], copy, given))
                shutil.rmtree(copy)
                print(name, json.dumps(runs[name][-1]), file=sys.stderr, flush=True)
    found: dict[str, Any] = {name: _medians(some) for name, some in runs.items()}
    if given.baseline:
        found["ratio"] = _ratios(found["baseline"], found["here"])
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)


def _store(known: Path | None, place: Path) -> Path:
    if known is not None:
        return known.resolve()
    made = place / "store"
    build = ("-m", "expertrag", "index", "build", str(DOCUMENTS), "--out", str(made))
    subprocess.run([sys.executable, *build], check=True)
    return made


def _round(python: str, store: Path, given: Any) -> dict[str, Figures]:
    """Measure all parts with one installation."""
    found: dict[str, Figures] = {}
    if "stages" in given.parts:
        script = [python, str(HERE / "service_stages.py"), str(store), str(given.calls)]
        one = {**os.environ, "OMP_NUM_THREADS": "1"}  # waiting threads would count as CPU
        done = subprocess.run(script, check=True, capture_output=True, text=True, env=one)
        found["stages, CPU ms"] = json.loads(done.stdout.splitlines()[-1])
    serve = ["serve", "--index", str(store), "--allow-writes", *given.options]
    if set(given.parts) - {"stages"}:
        with served(python, serve) as server:
            for part in given.parts:
                found |= PARTS[part](server, store, given)
    return found


def _retrieve(server: Served, store: Path, given: Any) -> dict[str, Figures]:
    pid = server.process.pid
    return {
        f"retrieve, {callers} callers": load(server.address, pid, callers, given.seconds).figures()
        for callers in CALLERS
    }


def _info(server: Served, store: Path, given: Any) -> dict[str, Figures]:
    found = load(server.address, server.process.pid, CALLERS[-1], given.seconds, INFO)
    return {f"info, {CALLERS[-1]} callers": found.figures()}


def _upsert(server: Served, store: Path, given: Any) -> dict[str, Figures]:
    """Write documents of 40 bytes one by one; the first write warms up."""
    pid = server.process.pid
    seconds, written, spent = [], [], []
    for number in range(given.upserts + 1):
        text = f"Berth {number:06d} of the harbour is free today."[:40]
        before, cpu, started = _written(pid), cpu_seconds(pid), time.perf_counter()
        server.client.upsert([DocumentInput(id=f"note-{number}", text=text)])
        seconds.append(time.perf_counter() - started)
        spent.append(cpu_seconds(pid) - cpu)
        written.append(_written(pid) - before)
    return {
        "upsert of 40 bytes": {
            "visible_s": round(statistics.median(seconds[1:]), 3),
            "cpu_s": round(statistics.median(spent[1:]), 3),
            "written_mb": round(statistics.median(written[1:]) / 1e6, 3),
        }
    }


def _written(pid: int) -> int:
    """Bytes that a process has handed to the system to write, whatever the system merged."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def _stages(server: Served, store: Path, given: Any) -> dict[str, Figures]:
    return {}  # measured before the server starts


PARTS: Mapping[str, Callable[[Served, Path, Any], dict[str, Figures]]] = {
    "stages": _stages,
    "info": _info,
    "retrieve": _retrieve,
    "upsert": _upsert,
}


def _medians(runs: list[dict[str, Figures]]) -> dict[str, dict[str, float]]:
    return {
        part: {
            name: round(statistics.median(run[part][name] for run in runs), 3)
            for name in runs[0][part]
        }
        for part in runs[0]
    }


def _ratios(before: Mapping[str, Figures], now: Mapping[str, Figures]) -> dict[str, Any]:
    """Divide our figures by those of the baseline."""
    return {
        part: {
            name: round(value / before[part][name], 3)
            for name, value in figures.items()
            if before.get(part, {}).get(name)
        }
        for part, figures in now.items()
    }


if __name__ == "__main__":
    main()
