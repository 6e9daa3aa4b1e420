"""A checkpoint of safetensors: one file, or several with an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from expertrag.generation.checkpoint import NotStreamed, Read

_FLOATS = ("F32", "F16", "BF16")
_open: Any = safe_open  # without annotations


class SafetensorsCheckpoint:
    """The floating-point tensors of a folder's files.

    The files are mapped while they are read, and let go of after each module, so that no more of
    them than that module is ever resident.
    """

    def __init__(self, folder: Path) -> None:
        """Read the headers.

        :raises NotStreamed: there are no such files.
        """
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._files: dict[str, Path] = {}
        for path in _files(folder):
            with _open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118  it is no mapping
                    tensor = file.get_slice(name)
                    if tensor.get_dtype() in _FLOATS:
                        self.shapes[name] = tuple(tensor.get_shape())
                        self._files[name] = path

    @contextmanager
    def reading(self) -> Iterator[Read]:
        """See :meth:`Checkpoint.reading`."""
        with ExitStack() as stack:
            files: dict[Path, Any] = {}

            def read(name: str) -> torch.Tensor:
                path = self._files[name]
                if path not in files:
                    files[path] = stack.enter_context(_open(path, framework="pt"))
                tensor: torch.Tensor = files[path].get_tensor(name)
                return tensor

            yield read


def _files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise NotStreamed(f"there is no {single.name}")
    names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(names))]
