"""Record answers, decisions and citations of this code, and compare those of other code with them.

    python lab/benchmarks/recorded_run.py record --out FILE [--questions N] [--models …]
    python lab/benchmarks/recorded_run.py compare FILE [--questions N] [--models …] [--data DIR]

A change that only moves code leaves every recorded value as it is, to the last digit. Two stores
are built and served: the demo's, and one of several subjects. Questions are asked one at a time
and answered greedily, over gRPC and, every fourth, over HTTP again. A run of fewer questions is
the beginning of one of more. Times and random ids are not recorded. ``compare`` exits with 1 if
anything differs. Records of two kinds of processors may differ in last digits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import httpx
import results_file
from http_clients import free_port
from recorded_differences import Row, differences, line
from recorded_questions import Question, plan, write_subjects

from expertrag import Client

EXPERTRAG = [sys.executable, "-m", "expertrag"]
DATA = results_file.ROOT.parent / "shared" / "data"
MODELS = {"smollm2-135m-reader": 1, "qwen2.5-coder-1.5b-instruct": 4}
"""Language models; one with the number n is slow, and answers the first nth of the questions."""
QUESTIONS = 200
TOKENS = 48
HTTP_EVERY = 4
TIMEOUT_S = 600
CONFIG = """
index = {demo}
[model]
generator = {model}
reranker = "auto"
[rerank]
deadline_s = {timeout}
[service]
address = {address}
http_address = {http_address}
default_deadline_s = {timeout}
max_deadline_s = {timeout}
[log]
level = "warning"
"""
"""Configuration of the server; no answer may depend on how busy the machine is."""
UNRECORDED = ("id", "created", "created_at", "checksum", "stage_seconds")
"""Keys of values that no two runs share: random ids, times, and checksums over times."""
CODE = results_file.ANSWERS


def main() -> int:
    """Record or compare; return 1 if anything differs."""
    given = arguments()
    if given.action == "record":
        given.out.parent.mkdir(parents=True, exist_ok=True)
        with given.out.open("w", encoding="utf-8") as out:
            header = {"questions": given.questions, "models": given.models}
            print(line({**header, "measured": results_file.stamp(CODE)}), file=out)
            for row in rows_of_run(given):
                print(line(row), file=out, flush=True)
        return 0
    header, *recorded = map(json.loads, given.file.read_text("utf-8").splitlines())
    given.questions = min(given.questions, header["questions"])
    given.models = given.models or header["models"]
    recorded = [row for row in recorded if is_in(row["key"], given.questions, given.models)]
    lines = differences(recorded, list(rows_of_run(given)))
    print("\n".join(lines) or f"all {len(recorded)} recorded values are the same")
    return 1 if lines else 0


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    record = actions.add_parser("record", help="write a record")
    record.add_argument("--out", type=Path, required=True, help="file to write")
    compare = actions.add_parser("compare", help="compare this code with a record")
    compare.add_argument("file", type=Path, metavar="FILE", help="record of other code")
    for action, models in ((record, [*MODELS]), (compare, None)):
        action.add_argument("--questions", type=int, default=QUESTIONS, help="questions per model")
        action.add_argument("--models", nargs="+", default=models, help="language models")
        action.add_argument("--data", type=Path, default=DATA, help="data sets")
        action.add_argument(
            "--stores", type=Path, help="folder of stores to reuse, or to keep if there are none"
        )
    return parser.parse_args()


def rows_of_run(given: argparse.Namespace) -> Iterator[Row]:
    """Build the stores, ask every model the questions, and yield the rows of the record."""
    with tempfile.TemporaryDirectory() as folder:
        work = (given.stores or Path(folder)).resolve()
        build(work, given.data)
        for name, documents in documents_of(work).items():
            yield {"key": ["store", name], "value": hashes(work / name, documents)}
        questions = plan(given.data)
        for model in given.models:
            with served(work, model, Path(folder)) as (address, url):
                yield from ask(model, questions[: share(model, given.questions)], address, url)


def share(model: str, questions: int) -> int:
    """Return how many of the questions a model answers."""
    return -(-questions // MODELS.get(model, 1))


def build(work: Path, data: Path) -> None:
    """Build the stores ``demo`` and ``subjects`` in a folder, unless they are there."""
    write_subjects(data, work / "documents")
    for name, documents in documents_of(work).items():
        if not (work / name / "CURRENT").exists():
            command = ["index", "build", str(documents), "--out", str(work / name)]
            subprocess.run(
                [*EXPERTRAG, *command], cwd=results_file.ROOT, check=True, stdout=DEVNULL
            )


def documents_of(work: Path) -> dict[str, Path]:
    """Return the folder of the documents of each store."""
    return {
        "demo": results_file.ROOT / "examples" / "documents",
        "subjects": work / "documents",
    }


def hashes(store: Path, documents: Path) -> dict[str, Any]:
    """Return the manifest of a store without times, and hashes of its files and databases.

    :param documents: folder that it was built from; its path does not count.
    """
    (manifest,) = store.glob("generations/*/manifest.json")
    files = {path.name: digest(path.read_bytes()) for path in sorted(store.glob("segments/*"))}
    for path in sorted(store.glob("*.db")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            rows = "\n".join(database.iterdump()).replace(str(documents), "documents")
            files[path.name] = digest(rows.encode())
    return {"files": files, "manifest": cleaned(json.loads(manifest.read_text("utf-8")))}


@contextmanager
def served(work: Path, model: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Serve both stores with a language model; yield the addresses of gRPC and HTTP."""
    address, http_address = f"unix:{folder}/grpc.sock", f"127.0.0.1:{free_port()}"
    values = {
        "demo": str(work / "demo"),
        "model": model,
        "timeout": TIMEOUT_S,
        "address": address,
        "http_address": http_address,
    }
    config = folder / "server.toml"
    config.write_text(CONFIG.format(**{key: json.dumps(value) for key, value in values.items()}))
    command = ["serve", "--config", str(config), "--collection", f"subjects={work / 'subjects'}"]
    with subprocess.Popen([*EXPERTRAG, *command], cwd=results_file.ROOT) as server:
        try:
            yield address, f"http://{http_address}"
        finally:
            server.terminate()


def ask(model: str, questions: Iterable[Question], address: str, url: str) -> Iterator[Row]:
    """Ask a server questions in turn; each fourth over HTTP, too, right after gRPC.

    The order is part of the record: a prompt may reuse what is cached of an earlier one.
    """
    with Client(address) as demo, Client(address, collection="subjects") as subjects:
        demo.wait_ready(TIMEOUT_S)
        for number, question in enumerate(questions):
            client = subjects if question.store == "subjects" else demo
            key = [model, number, question.store, question.text]
            yield {"key": ["grpc", *key], "value": grpc_answer(client, question)}
            if number // 2 % HTTP_EVERY == 0:
                yield {"key": ["http", *key], "value": http_answer(url, question)}


def grpc_answer(client: Client, question: Question) -> Any:
    """Ask over gRPC; return the fields of the answer."""
    answer = client.answer(
        question.text,
        history=question.history,
        max_tokens=TOKENS,
        timeout=TIMEOUT_S,
        **question.options,
    )
    return cleaned(json.loads(json.dumps(asdict(answer))))


def http_answer(url: str, question: Question) -> Any:
    """Ask over HTTP, as OpenAI's clients do; return the body of the response."""
    body = {
        "model": "default" if question.store == "demo" else question.store,
        "messages": [*question.history, {"role": "user", "content": question.text}],
        "max_tokens": TOKENS,
        "expertrag": question.options,
    }
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=TIMEOUT_S)
    return {
        "status": response.status_code,
        "body": cleaned(json.loads(response.text.replace(url, "http://server"))),
    }


def cleaned(value: Any) -> Any:
    """Leave out what differs between two runs, and replace texts of passages by hashes."""
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {key: cleaned(item) for key, item in value.items() if key not in UNRECORDED}
    if "ordinal" in fields:  # a passage
        fields["text"] = digest(fields["text"].encode())
    return fields


def digest(content: bytes) -> str:
    """Return a short hash."""
    return hashlib.sha256(content).hexdigest()[:16]


def is_in(key: list[Any], questions: int, models: list[str]) -> bool:
    """Whether a shorter run, or one of fewer models, has the row of this key."""
    return key[0] == "store" or (key[1] in models and key[2] < share(key[1], questions))


if __name__ == "__main__":
    raise SystemExit(main())
