"""A GGUF file, or all parts of one that was split, read as one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from expertrag.llm.gguf_names import part_names

_OF_MODEL = "general.architecture"


class GGUFParts:
    """Header and tensors of a file; tensors are read one by one from the part that has them."""

    def __init__(self, path: Path) -> None:
        """Read the headers.

        :param path: the file, or any of its parts; the others are found by their names.
        :raises FileNotFoundError: a part is missing.
        :raises ValueError: a part is damaged, of another model, or has another name.
        """
        paths = [path.with_name(name) for name in part_names(path.name)]
        readers = [gguf.GGUFReader(part) for part in paths]
        for number, (part, reader) in enumerate(zip(paths, readers, strict=True)):
            _check_place(part.name, reader, number, len(readers))
        self.fields: Mapping[str, Any] = readers[0].fields
        self.tensors: Sequence[Any] = [tensor for reader in readers for tensor in reader.tensors]
        self._paths = {
            tensor.name: part
            for part, reader in zip(paths, readers, strict=True)
            for tensor in reader.tensors
        }
        if len(readers) > 1:
            self._check_one_model(path.name, paths, readers)

    def value(self, key: str) -> Any:
        """Return the value of a key of the header; None if there is none."""
        return _value(self.fields, key)

    def read(self, tensor: Any) -> Any:
        """Read one of ``tensors`` in float32."""
        # past the memory map, whose pages would stay resident
        stored = np.fromfile(
            self._paths[tensor.name],
            tensor.data.dtype,
            count=tensor.data.size,
            offset=tensor.data_offset,
        ).reshape(tensor.data.shape)
        return floats(stored, tensor.tensor_type)

    def _check_one_model(self, name: str, paths: Sequence[Path], readers: Sequence[Any]) -> None:
        wanted = self.value("split.tensors.count")
        if wanted is not None and wanted != len(self.tensors):
            raise ValueError(
                f"{name} is of {wanted} tensors, but its parts have {len(self.tensors)}: "
                "they are not of one file"
            )
        if len(self._paths) < len(self.tensors):
            raise ValueError(f"two parts of {name} have the same tensor: they are not of one file")
        for path, reader in zip(paths, readers, strict=True):
            for key in (_OF_MODEL, "general.name", "split.tensors.count"):
                # only the first part has to say what the model is
                if _value(reader.fields, key) not in (None, self.value(key)):
                    raise ValueError(f"{path.name} is a part of another model ({key} differs)")


def floats(stored: Any, kind: Any) -> Any:
    """Return stored values of a tensor in float32.

    :param kind: their type, one that the gguf library knows.
    """
    return gguf.quants.dequantize(stored, kind).astype(np.float32, copy=False)


def _check_place(name: str, reader: Any, number: int, count: int) -> None:
    """Check that a part says the same about its place as its name.

    :raises ValueError: it does not.
    """
    there = _value(reader.fields, "split.no") or 0, _value(reader.fields, "split.count") or 1
    if there != (number, count):
        raise ValueError(
            f"{name} has part {there[0] + 1} of {there[1]}: name the parts as they were made, "
            f"…-{there[0] + 1:05}-of-{there[1]:05}.gguf"
        )


def _value(fields: Mapping[str, Any], key: str) -> Any:
    field = fields.get(key)
    return None if field is None else field.contents()
