"""Results files, and the commit, machine, date, command and code that their figures come from.

Every benchmark writes its ``--json`` file by ``write``. The key ``measured`` of the file is a
stamp, or one stamp for each part if the parts are measured one by one. ``code`` in a stamp has a
hash of each file or folder that the figures depend on; the figures are stale once one has changed.
Comments, docstrings and formatting do not count.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "lab" / "results"
KERNELS = ("kernels/expertrag_kernels",)
ENGINE = ("expertrag/llm/engine", "expertrag/llm/load", *KERNELS)
SEARCH = ("index/expertrag_index", "retriever/expertrag_retriever")
ANSWERS = (
    "expertrag/answer",
    "expertrag/calculations",
    "expertrag/grounding",
    "expertrag/stores",
    "expertrag/llm",
    "expertrag/queries",
    *KERNELS,
    *SEARCH,
)
"""Code between a question and its answer."""

Stamp = Mapping[str, Any]
"""Commit, machine, date, command and code of a measurement."""

_SUFFIXES = {".py", ".c", ".cpp", ".h"}
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def parser(doc: str | None, *shared: str) -> argparse.ArgumentParser:
    """Make a parser with ``--json``, and with ``--data`` and ``--work`` if they are named.

    :param doc: docstring of the benchmark; its first line is the description.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    made.add_argument(
        "--json", nargs="?", const="-", help="write the figures to this file; no name: to stdout"
    )
    if "--data" in shared:
        made.add_argument("--data", type=Path, required=True, help="folder of data sets")
    if "--work" in shared:
        from expertrag_lab.eval.stores import default_work

        made.add_argument(
            "--work", type=Path, default=default_work(), help="folder of stores and answers to keep"
        )
    return made


def write(
    target: str | None, body: Mapping[str, Any], code: Sequence[str], parts: Iterable[str] = ()
) -> None:
    """Write figures with their stamp to a file, or to stdout if the target is ``-``.

    :param target: value of ``--json``; None: nothing is written.
    :param code: files and folders that the figures depend on, relative to the repository.
    :param parts: parts measured now, if ``body`` has others from the same file.
    """
    if target is None:
        return
    made = stamp(code)
    known = stamps(read(target)) if parts else {}
    measured = {**known, **dict.fromkeys(parts, made)} if parts else made
    figures = {key: value for key, value in body.items() if key != "measured"}
    text = json.dumps({"measured": measured, **figures}, indent=1) + "\n"
    if target == "-":
        print(text, end="")
    else:
        Path(target).write_text(text, encoding="utf-8")


def read(target: str | Path | None) -> dict[str, Any]:
    """Read a results file; one that does not exist is empty."""
    path = Path(target or "-")
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def figures_of(name: str) -> Any:
    """Return the figures of a file of lab/results."""
    body = read(RESULTS / f"{name}.json")
    del body["measured"]
    return body


def report_of(results: Mapping[str, Any], kind: str) -> Any:
    """Return the report of one kind among those of a whole evaluation."""
    return next(report for report in results["reports"] if report["kind"] == kind)


def stamps(body: Mapping[str, Any]) -> dict[str, Stamp]:
    """Return the stamp of each part; a file that is measured at once is one part, ``""``."""
    measured = body.get("measured", {})
    return {"": measured} if "commit" in measured else dict(measured)


def stamp(code: Sequence[str]) -> Stamp:
    """Describe a measurement that ends now."""
    from expertrag_kernels.cpu_experts import ISAS
    from expertrag_lab.eval.manifest import commit, machine

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "commit": commit().replace("+", "-dirty"),
        "machine": {**machine(), "isa": ISAS[0], "memory_gib": round(memory / 2**30)},
        "date": datetime.now(UTC).date().isoformat(),
        "command": command(sys.argv),
        "code": {path: code_hash(path) for path in code},
    }


def command(arguments: Sequence[str]) -> str:
    """Return a command line without paths of the machine: data sets are in DATA."""
    script, *others = arguments
    folder = Path(script).resolve().parent.name  # benchmarks or campaigns
    return shlex.join(["python", f"lab/{folder}/{Path(script).name}", *map(_shown, others)])


def _shown(argument: str) -> str:
    option, equals, value = argument.rpartition("=")
    path = Path(value)
    if not path.is_absolute() and ".." not in path.parts:
        return argument
    if any(path.glob("*/corpus.jsonl*")):
        value = "DATA"
    elif any(path.glob("corpus.jsonl*")):
        value = f"DATA/{path.name}"
    elif path.resolve().is_relative_to(ROOT):
        value = path.resolve().relative_to(ROOT).as_posix()
    else:
        value = path.name
    return f"{option}{equals}{value}"


def changed(measured: Stamp) -> list[str]:
    """Return the files and folders whose code is not, or not known to be, what was measured."""
    now = {path: code_hash(path) for path in measured["code"]}
    return [path for path, known in measured["code"].items() if known is None or now[path] != known]


@cache
def code_hash(path: str) -> str | None:
    """Hash a file, or the Python and C++ files of a folder; None if there is none."""
    place = ROOT / path
    if place.is_file():
        return hash_of({place.name: place.read_bytes()})
    files = sorted(file for file in place.rglob("*") if file.suffix in _SUFFIXES)
    return hash_of({file.relative_to(place).as_posix(): file.read_bytes() for file in files})


def hash_of(files: Mapping[str, bytes]) -> str | None:
    """Hash files by their names and code, in order of the names."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{code_of(Path(name).suffix, content)}\0".encode())
    return digest.hexdigest()[:12] if files else None


def code_of(suffix: str, content: bytes) -> str:
    """Return what counts of a file: all of it, unless it is Python or C++."""
    if suffix == ".py":
        return _dumped(ast.parse(content))
    if suffix in _SUFFIXES:
        return "".join(_COMMENT.sub(" ", content.decode()).split())
    return hashlib.sha256(content).hexdigest()


def _dumped(node: object) -> str:
    """Write a syntax tree like ``ast.dump``, whose text differs between Python versions."""
    if isinstance(node, list):
        return f"[{','.join(_dumped(item) for item in node if not _is_docstring(item))}]"
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (f"{name}={_dumped(value)}" for name, value in ast.iter_fields(node) if value)
    return f"{type(node).__name__}({','.join(fields)})"


def _is_docstring(node: object) -> bool:
    """Whether it is a string that is a statement, as below a function or a constant."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
