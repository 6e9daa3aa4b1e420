"""Read a safetensors checkpoint: one file, or several with an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from expertrag.llm.load.checkpoint import NotStreamed

FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Names of the floating-point dtypes in a file."""


class _Place(NamedTuple):
    """The location of a tensor."""

    path: Path
    start: int
    size_bytes: int
    dtype: torch.dtype


class SafetensorsCheckpoint:
    """The tensors of a folder's files, by default the tensors of floating-point numbers.

    They are read, while the library maps them. Pages of a mapping stay resident in addition to the
    copy that experts are merged into, so a layer would take twice its memory.
    """

    def __init__(self, folder: Path, dtypes: Mapping[str, torch.dtype] = FLOATS) -> None:
        """Read the headers.

        :param dtypes: types of the tensors that are read, by their names in a file.
        :raises NotStreamed: there are no such files.
        :raises ValueError: a file is damaged.
        """
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._dtypes = dtypes
        self._places: dict[str, _Place] = {}
        for path in _files(folder):
            self._add(path)

    def read(self, name: str) -> torch.Tensor:
        """See :meth:`Checkpoint.read`."""
        place = self._places[name]
        data = np.fromfile(place.path, np.uint8, count=place.size_bytes, offset=place.start)
        return torch.from_numpy(data).view(place.dtype).view(self.shapes[name])

    def _add(self, path: Path) -> None:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        for name, entry in header.items():
            dtype = self._dtypes.get(entry.get("dtype"))
            if dtype is None:  # the metadata, or a dtype that we do not read
                continue
            first, stop = (8 + length + offset for offset in entry["data_offsets"])
            shape = tuple(entry["shape"])
            if not 0 <= first <= stop <= size or stop - first != (
                torch.Size(shape).numel() * dtype.itemsize
            ):
                raise ValueError(f"{path} is truncated, or the size of {name} is not its shape's")
            self.shapes[name] = shape
            self._places[name] = _Place(path, first, stop - first, dtype)


def _files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise NotStreamed(f"there is no {single.name}")
    names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(names))]
