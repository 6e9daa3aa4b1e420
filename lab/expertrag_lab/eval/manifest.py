"""The manifest of a run: everything that its figures depend on, and the machine.

``inputs`` determine the figures: runs with the same ``id``, which is their hash, give the same
numbers. Times are the exception; they depend on ``machine``.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from expertrag._version import __version__
from expertrag_common.cores import available_cores
from expertrag_lab.data.types import JSON

_PACKAGES = ("torch", "transformers", "sentence-transformers", "faiss-cpu", "ir-measures", "scipy")


@dataclass(frozen=True, slots=True)
class RunManifest:
    """Description of a run. ``commit`` is empty outside a checkout; local edits add a ``+``."""

    id: str
    command: str
    inputs: Mapping[str, JSON]
    version: str
    commit: str
    created_at: str
    machine: Mapping[str, JSON]


def make_manifest(command: str, inputs: Mapping[str, JSON]) -> RunManifest:
    """Describe a run of ``eval COMMAND``; ``inputs`` are configuration, hashes and seeds."""
    return RunManifest(
        id=inputs_id({"command": command, "version": __version__, **inputs}),
        command=command,
        inputs=inputs,
        version=__version__,
        commit=commit(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
    )


def inputs_id(inputs: Mapping[str, JSON]) -> str:
    """Hash of the inputs of a run, 16 hexadecimal digits."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ids_hash(ids: Iterable[str]) -> str:
    """Hash of the ids of the measured queries: without a failed query, figures differ."""
    return inputs_id({"ids": sorted(ids)})


def commit() -> str:
    """Return the checkout's commit, with a ``+`` for edited code; empty outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    if not git("ls-files", Path(__file__).name):
        return ""  # installed inside the checkout of another project
    prose = (":(top,exclude)lab/results", ":(top,exclude)*.md")
    edited = git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", *prose)
    return git("rev-parse", "--short", "HEAD") + ("+" if edited else "")


def machine() -> Mapping[str, JSON]:
    """Describe platform, processor, cores, Python and the packages that figures depend on."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
