"""Search and writes by the size of the store, beside other engines.

    make lab-bench-scale ARGS="--sizes 10000 100000 --json FILE"

For each size a corpus is written (``synthetic_corpus.py``), and these parts are measured, each in a
process of its own, with an embedder of nearly no cost (``topic_embedder.py``), so that the figures
are those of the store:

- exact: the true nearest chunks of the questions, for recall; it has no figures
- build: chunks/s, CPU, most memory with the children, bytes on disk and written a chunk
- open: seconds, with the store's files in the page cache, and without
- search: hybrid, dense and BM25 after 200 other questions; recall@10 of the dense half
- cold: the first hybrid searches of a process, without the store's files in the page cache
- filters: hybrid search among 1, 10 and 50 % of the documents; first_ms is a filter's first search
- memory: what the store adds to a process that has answered 1,000 searches; read is the size of the
  files of vectors, which are not mapped: what the page cache keeps of them need not be read again
- writes: seconds until a search finds what was upserted, and bytes written, over those of the
  change; the same of a compaction
- served: searches/s of 16 callers by gRPC, with the default embedder for the questions, and
  seconds until an upsert returns, after which searches find it
- compacting: searches of four callers before, and while the server compacts a store of which a
  quarter was deleted; ``written_of_the_store`` is in bytes of the store
- tantivy, qdrant, lancedb: other engines (``scale_rivals.py``)

``found`` is the share of questions whose document is among the ten best. ``load`` is that of the
machine when a part began. What is in the ``--work`` folder is kept: stores, also of earlier code,
and figures unless their code has changed; so a run that was interrupted goes on. ``--again``
measures parts once more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import results_file
import scale_store
from scale_measures import peak_memory
from scale_served import compacting, throughput
from scale_tables import engines, ours
from synthetic_corpus import DOCUMENTS

from expertrag.config import ModelConfig
from expertrag.stores.embedders import open_embedder
from expertrag_common.cores import available_cores

HERE = Path(__file__).parent
RIVALS = ("tantivy", "qdrant", "lancedb")
OURS = tuple(scale_store.PARTS)
SERVED = {"served": throughput, "compacting": compacting}
PARTS = (*OURS, *SERVED, *RIVALS)
SIZES = (10_000, 100_000, 1_000_000)
QUESTIONS = 4_000
EMBEDDER = "all-minilm-l6-v2"

_MATERIAL = ("lab/benchmarks/synthetic_corpus.py", "lab/benchmarks/topic_embedder.py")
_SHARED = ("lab/benchmarks/bench_scale.py", "lab/benchmarks/scale_measures.py", *_MATERIAL)
_OURS = (*results_file.SEARCH, *_SHARED, "lab/benchmarks/scale_store.py")
_SERVED = (
    *_OURS,
    "lab/benchmarks/scale_served.py",
    "expertrag/serving",
    "expertrag/wire",
    "expertrag/runtime",
    "expertrag/answer",
    "expertrag/grounding",
    "expertrag/stores",
)
_RIVALS = (*_SHARED, "lab/benchmarks/scale_rivals.py", "lab/benchmarks/scale_engines.py")
_DISK_BYTES_A_CHUNK = 15_000  # corpus, store, its copy, and an engine's


def main() -> None:
    """Measure what is not measured yet, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__, "--work")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="chunks of the stores")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--again", nargs="+", default=(), choices=PARTS, help="measured anew")
    parser.add_argument("--rivals", type=Path, help="folder of the other engines' environments")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds of an engine's step")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the load of a server")
    given = parser.parse_args()
    work = given.work / "scale"
    work.mkdir(parents=True, exist_ok=True)
    _check(parser, given, work)
    state = work / "figures.json"
    embedder = _embedder()
    for size in given.sizes:
        folder = _folder(work, size)
        if not (folder / "corpus" / DOCUMENTS).exists():
            _run(
                "synthetic_corpus.py", folder / "corpus", "--chunks", size, "--questions", QUESTIONS
            )
        for part in given.parts:
            if part in RIVALS and not given.rivals:
                continue
            if part in given.again or not _known(state, folder, size, part):
                began = time.monotonic()
                _keep(state, size, part, _measure(part, folder, embedder, given))
                spent = time.monotonic() - began
                print(f"{size:,} chunks, {part}: {spent:.0f} s", file=sys.stderr, flush=True)
    print("\n".join([*ours(found := results_file.read(state)), "", *engines(found)]))
    if given.json == "-":
        print(state.read_text(encoding="utf-8"), end="")
    elif given.json:
        shutil.copyfile(state, given.json)


def _check(parser: Any, given: Any, work: Path) -> None:
    """End with an error if a size is too small or the disk too full, or an engine is missing."""
    if min(given.sizes) < 1_000:
        parser.error("--sizes must be at least 1,000 chunks: the questions ask about that many")
    missing = sum(size for size in given.sizes if not _folder(work, size).exists())
    free = shutil.disk_usage(work).free
    if free < missing * _DISK_BYTES_A_CHUNK:
        needed = missing * _DISK_BYTES_A_CHUNK / 1e9
        parser.error(f"{work} has {free / 1e9:.0f} GB free and needs {needed:.0f}: use --work")
    for name in RIVALS if given.rivals else ():
        if name in given.parts and not _python(given.rivals, name).exists():
            parser.error(f"{given.rivals / name} is no environment: run make lab-bench-scale")


def _folder(work: Path, size: int) -> Path:
    """Folder of one size; texts and vectors of other code have another."""
    made = "-".join(str(results_file.code_hash(path))[:6] for path in _MATERIAL)
    return work / f"{size}-{made}"


def _known(state: Path, folder: Path, size: int, part: str) -> bool:
    """Whether figures are there, and of the code as it is; a store may be of earlier code."""
    stamp = results_file.stamps(results_file.read(state)).get(f"{size}, {part}")
    if part == "exact":
        return (folder / "corpus" / scale_store.EXACT).exists()
    if part == "build":
        return stamp is not None and (folder / "store").exists()
    return stamp is not None and not results_file.changed(stamp)


def _keep(state: Path, size: int, part: str, found: Mapping[str, Any]) -> None:
    figures = results_file.read(state)
    figures.setdefault("sizes", {}).setdefault(str(size), {})[part] = found
    code = _RIVALS if part in RIVALS else _SERVED if part in SERVED else _OURS
    results_file.write(str(state), figures, code, [f"{size}, {part}"])


def _measure(part: str, folder: Path, embedder: Sequence[str], given: Any) -> Mapping[str, Any]:
    load_before = round(os.getloadavg()[0], 1)
    if part in RIVALS:
        found = _rival(part, folder, given)
    elif part in SERVED:
        found = SERVED[part](folder, given.seconds)
    else:
        if part == "build":
            shutil.rmtree(folder / "store", ignore_errors=True)
        found = _run("scale_store.py", part, folder, "--embedder", *embedder)
    return {**found, "load": load_before}


def _embedder() -> tuple[str, str]:
    """Return name and fingerprint of the default embedder, which lets a server open the stores."""
    embedder = open_embedder(ModelConfig(embedder=EMBEDDER), None)
    return embedder.name, embedder.fingerprint


def _run(
    script: str,
    *arguments: object,
    python: str = sys.executable,
    limit_s: float | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Run a script; return the JSON that it prints last, and its most memory.

    :param threads: of a numerical library; an engine may have its own.
    :raises TimeoutError: it takes longer than ``limit_s``.
    """
    command = [python, str(HERE / script), *map(str, arguments)]
    limited = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdout=printed, env=limited)
        with peak_memory(process.pid) as peak:
            try:
                status = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"{script} takes more than {limit_s:.0f} s") from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if status:
            raise SystemExit(f"error: {' '.join(command)} ended with {status}")
        printed.seek(0)
        lines = printed.read().splitlines()
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return {**found, "peak_rss_mb": _mb(peak.rss), "peak_anon_mb": _mb(peak.anon)}


def _mb(size: float) -> float:
    return round(size / 1e6, 1)


def _rival(name: str, folder: Path, given: Any) -> Mapping[str, Any]:
    """Build and ask another engine; say so if a step is not finished in time."""
    python = str(_python(given.rivals, name))
    found: dict[str, Any] = {}
    shutil.rmtree(folder / name, ignore_errors=True)
    for step in ("build", "search"):
        arguments = (name, step, folder, "--limit", given.limit)
        threads = available_cores() if step == "build" else 1
        try:
            found[step] = _run(
                "scale_rivals.py",
                *arguments,
                python=python,
                limit_s=2 * given.limit,
                threads=threads,
            )
        except TimeoutError:
            found[step] = {"finished": False, "limit_s": 2 * given.limit}
        if found[step].get("finished") is False:
            break
    shutil.rmtree(folder / name, ignore_errors=True)
    return found


def _python(rivals: Path, name: str) -> Path:
    return rivals / name / "bin" / "python"


if __name__ == "__main__":
    main()
