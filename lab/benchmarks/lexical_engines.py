"""BM25 of the store against SQLite's FTS5, tantivy and bm25s: time, memory and bytes by size.

    make lab-bench-lexical ARGS="--json lab/results/lexical_engines.json"

Synthetic chunks of 120 words (``lexical_corpus``), 500 queries of 3 to 8 words, the ten best hits.
Each engine builds in one process and searches in another, on one thread; the making of the texts is
not counted. ``agreement``: share of the ten best that our C++ search has, too: the others round
lengths (tantivy), do not stem (bm25s), or order equal scores otherwise. bm25s scores when it
builds: it has neither deletions nor filters that change its statistics.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import results_file
from lexical_rivals import ENGINES, HITS
from tqdm import tqdm

CODE = (
    "index/expertrag_index/postings",
    "index/expertrag_index/words/analysis.py",
    "lab/benchmarks/lexical_engines.py",
    "lab/benchmarks/lexical_rivals.py",
    "lab/benchmarks/lexical_corpus.py",
)
SIZES = (10_000, 100_000, 300_000)
FULL_SIZE = 1_000_000
ELSEWHERE = ("tantivy", "bm25s")
_SCRIPT = Path(__file__).with_name("lexical_rivals.py")


def main() -> None:
    """Measure every engine at every size."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="chunks")
    parser.add_argument("--full", action="store_true", help=f"also {FULL_SIZE:,} chunks")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--rivals", type=Path, help="Python that has tantivy, bm25s and numba")
    given = parser.parse_args()
    engines = [name for name in given.engines if given.rivals or name not in ELSEWHERE]
    rows: list[dict[str, Any]] = []
    for chunks in [*given.sizes, *([FULL_SIZE] if given.full else [])]:
        ours: list[list[int]] | None = None
        for engine in tqdm(engines, f"{chunks:,} chunks"):
            python = str(given.rivals) if engine in ELSEWHERE else sys.executable
            row, hits = measured(engine, chunks, python)
            ours = hits if engine == "C++" else ours
            if ours is not None:
                row["agreement"] = agreement(hits, ours)
            rows.append(row)
            print(json.dumps(row), flush=True)
    results_file.write(given.json, {"hits": HITS, "engines": rows}, CODE)


def measured(engine: str, chunks: int, python: str) -> tuple[dict[str, Any], list[list[int]]]:
    """Build and search; return the figures, and the keys that were found."""
    with tempfile.TemporaryDirectory() as folder:
        built, searched = (
            _run([python, str(_SCRIPT), engine, step, folder, "--chunks", str(chunks)])
            for step in ("build", "search")
        )
    hits = searched.pop("hits")
    built["build_peak_mib"] = built.pop("peak_mib")
    searched["search_peak_mib"] = searched.pop("peak_mib")
    return {"engine": engine, "chunks": chunks, **built, **searched}, hits


def agreement(hits: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> float:
    """Return which share of the keys others have found, too."""
    pairs = list(zip(hits, others, strict=True))
    shared = sum(len(set(one) & set(other)) for one, other in pairs)
    return round(shared / max(1, sum(len(other) for _, other in pairs)), 4)


def _run(command: Sequence[str]) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
