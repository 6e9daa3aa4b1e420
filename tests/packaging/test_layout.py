"""The folders, the import cost and the wheel are what CONTRIBUTING.md says."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("expertrag", "expertrag_retriever", "expertrag_index", "expertrag_kernels")
HEAVY = ("torch", "transformers", "sentence_transformers", "faiss", "numpy", "grpc")


@pytest.mark.parametrize("folder", ["kernels", "retriever", "index", "common", "lab", "protos"])
def test_bare_folders_are_not_packages(folder: str) -> None:
    # `kernels` is also a distribution that transformers imports: a package of that name here
    # would shadow it for everyone who starts Python in this folder.
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_is_light(package: str) -> None:
    code = f"import sys, {package}; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_importable(package: str) -> None:
    module = __import__(package)
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


def _build(out: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), "."]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, compiled without optimisation, which takes four fifths of the time."""
    folder = tmp_path_factory.mktemp("wheel")
    compiler = folder / "compiler"
    compiler.write_text(f'#!/bin/sh\nexec {os.environ.get("CXX", "c++")} "$@" -O0\n')
    compiler.chmod(0o755)
    return _build(folder, CXX=str(compiler))


def _names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_wheel_holds_the_packages_of_the_service_and_nothing_else(wheel: Path) -> None:
    names = _names(wheel)
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        *PACKAGES,
        "expertrag_common",
        next(top for top in tops if top.endswith(".dist-info")),
    }
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    assert any(name.startswith("expertrag_kernels/_cpu.") for name in names)
    for module in ("_postings", "_cosines"):
        assert any(name.startswith(f"expertrag_index/{module}.") for name in names)
    assert not [name for name in names if "libgomp" in name or name.endswith((".cpp", ".h"))]


@pytest.mark.slow
def test_wheel_holds_the_page_of_the_console(wheel: Path) -> None:
    page = ROOT / "expertrag/serving/http/console/static"
    files = {path.relative_to(ROOT).as_posix() for path in page.rglob("*") if path.is_file()}
    assert files
    assert files <= set(_names(wheel))


@pytest.mark.slow
def test_without_a_compiler_the_same_packages_are_built(tmp_path: Path) -> None:
    names = _names(_build(tmp_path, CXX="/no/compiler"))
    assert "expertrag_kernels/cpu_experts.py" in names
    assert not [name for name in names if name.endswith(".so")]


@pytest.mark.slow
def test_base_install_is_the_sdk(wheel: Path, tmp_path: Path) -> None:
    """Without extras the SDK imports and the command line tells what to install."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    subprocess.run(
        [python, "-c", "import expertrag; expertrag.Client('127.0.0.1:1').close()"], check=True
    )
    command = [str(python), "-m", "expertrag", "index", "build", ".", "--out", "store"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pip install 'expertrag[server]'" in done.stderr
    assert "Traceback" not in done.stderr
