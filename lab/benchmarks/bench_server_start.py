"""Start-up time and memory of a server.

    python lab/benchmarks/bench_server_start.py --index STORE --generator FOLDER --json FILE

Each round starts ``expertrag serve`` in a separate process and measures the seconds until it
listens, until it is ready (also in CPU seconds, because other load on the machine stretches wall
time), and until the first answer is complete. The server of the last round answers ``--questions``
questions from the documents, then a third as many from three passages each. Its memory is that of
``/proc/PID/smaps``, in MB of 10^6 bytes:

- weights: pages of the packed weights, which are mapped and shared by all servers on the machine
- files: pages of libraries and other files, which the system can drop and read again
- anonymous: private memory: keys and values, Python objects, the embedder

``--baseline PYTHON`` alternates with the server of another installation.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results_file

from expertrag import Client
from expertrag.llm.load.loading import PACKED_FILE

TOPICS = (
    "VACUUM", "ANALYZE", "write-ahead logging", "a partial index", "a materialized view", "EXPLAIN",
    "pg_dump", "pg_restore", "logical replication", "hot standby", "row security", "a trigger",
    "autovacuum", "a sequence", "COPY", "LISTEN", "a foreign data wrapper", "table partitioning",
    "a tablespace", "pg_basebackup", "an advisory lock", "a domain", "an enumerated type", "BRIN",
    "full text search", "a savepoint", "TOAST", "pg_hba.conf", "a generated column", "GIN", "psql",
    "a common table expression",
)  # fmt: skip
READY_S = 120.0
CODE = (
    "expertrag/serving",
    "expertrag/runtime",
    *results_file.ANSWERS,
    "lab/benchmarks/bench_server_start.py",
)


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: address, process, a client, and its start-up times in seconds."""

    address: str
    process: subprocess.Popen[bytes]
    client: Client
    seconds: dict[str, float]


def main() -> None:
    """Measure, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--index", required=True, help="store to answer the questions from")
    parser.add_argument("--generator", required=True, help="folder of `expertrag llm pack`")
    parser.add_argument("--rounds", type=int, default=5, help="starts per installation")
    parser.add_argument("--questions", type=int, default=30, help="questions before memory is read")
    parser.add_argument("--baseline", help="python of another installation to alternate with")
    parser.add_argument("options", nargs="*", help="after --: options for `expertrag serve`")
    given = parser.parse_args()
    pythons = {"here": sys.executable, **({"baseline": given.baseline} if given.baseline else {})}
    serve = ["serve", "--index", given.index, "--generator", given.generator, *given.options]
    starts: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    memory: dict[str, dict[str, Any]] = {}
    for number in range(given.rounds):
        for name in random.sample(list(pythons), len(pythons)):
            with served(pythons[name], serve) as server:
                starts[name].append(server.seconds)
                if number == given.rounds - 1:
                    memory[name] = remembered(server, given.questions)
    found = {"seconds": {name: medians(some) for name, some in starts.items()}, "memory_mb": memory}
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)


@contextmanager
def served(python: str, serve: list[str]) -> Iterator[Served]:
    """Start a server, wait for its first answer, and stop it at the end."""
    with tempfile.TemporaryDirectory() as place:
        address = f"unix:{place}/socket"
        # -P: the packages are those of the installation, not of the working directory
        command = [python, "-P", "-m", "expertrag", *serve, "--address", address]
        started = time.perf_counter()
        with subprocess.Popen([*command, "--log-level", "warning"]) as process:
            try:
                seconds = {"listening": _until(started, Path(place, "socket").exists)}
                with Client(address) as client:
                    client.wait_ready(READY_S)
                    seconds["ready"] = time.perf_counter() - started
                    seconds["processor until ready"] = _processor(process.pid)
                    client.answer("Hello?", mode="never", max_tokens=1)
                    seconds["first answer"] = time.perf_counter() - started
                    yield Served(address, process, client, seconds)
            finally:
                process.terminate()


def _until(started: float, there: Any) -> float:
    while not there():
        if time.perf_counter() > started + READY_S:
            raise TimeoutError("the server did not become ready in time")
        time.sleep(0.01)
    return time.perf_counter() - started


def _processor(pid: int) -> float:
    """CPU seconds of a process, which depend less on other load than wall time."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def remembered(server: Served, questions: int) -> dict[str, Any]:
    """Read the memory of a server when it is ready, and after each half of the answers."""
    found: dict[str, Any] = {"ready": resident(server.process.pid)}
    started = time.perf_counter()
    tokens = 0
    for number in range(questions):
        tokens += _prompt_tokens(server, number)
        if number + 1 in (questions // 2, questions):
            found[f"after {number + 1} answers"] = resident(server.process.pid)
    found["prompt_tokens"] = tokens
    found["seconds_an_answer"] = (time.perf_counter() - started) / max(questions, 1)
    started = time.perf_counter()
    few = range(max(questions // 3, 1))
    found["prompt_tokens_of_three_passages"] = sum(_prompt_tokens(server, n, k=3) for n in few)
    found["seconds_an_answer_of_three_passages"] = (time.perf_counter() - started) / len(few)
    return found


def _prompt_tokens(server: Served, number: int, k: int = 5) -> int:
    """Ask a question; return the number of prompt tokens."""
    topic = TOPICS[number % len(TOPICS)]
    question = f"What is {topic} for?" if number < len(TOPICS) else f"How is {topic} used?"
    answer = server.client.answer(question, mode="always", k=k, max_tokens=64, timeout=READY_S * 5)
    return answer.usage.prompt_tokens


def resident(pid: int) -> dict[str, float]:
    """Resident memory of a process by kind, in MB; ``proportional`` divides shared pages."""
    kinds = dict.fromkeys(("resident", "weights", "files", "anonymous", "proportional"), 0.0)
    path = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *values = line.split()
        if not name.endswith(":"):  # the header line of a mapping
            path = values[4] if len(values) > 4 else ""
            continue
        if name not in ("Rss:", "Pss:", "Anonymous:"):
            continue
        size = int(values[0]) * 1024 / 1e6
        if name == "Pss:":
            kinds["proportional"] += size
            continue
        kinds["weights" if path.endswith(PACKED_FILE) else "files"] += (
            size if name == "Rss:" else -size
        )
        kinds["resident" if name == "Rss:" else "anonymous"] += size
    return {kind: round(size, 1) for kind, size in kinds.items()}


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


if __name__ == "__main__":
    main()
