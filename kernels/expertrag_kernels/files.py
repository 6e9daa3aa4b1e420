"""Packed weights on disk: a safetensors file that the kernels can read through a memory mapping.

Experts and matrices are tensors of bytes that start at a multiple of 64 in the file, so that a
memory mapping is aligned. Vectors of floats follow them. The file's metadata records shapes,
formats and SHA-256, and the version of the layout. Any safetensors reader can read the file; it
needs its own writer, because the library's aligns to 8.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from expertrag_kernels.layout import DENSE_VERSION, VERSION, layer_bytes, matrix_bytes, room
from expertrag_kernels.packed import Activation, FilePlace, Format, PackedExperts, PackedMatrix

Packed = PackedExperts | PackedMatrix | torch.Tensor
"""The contents of a file; tensors are float32."""

_ALIGNMENT = 64
_HEAD = struct.Struct("<Q")
_PIECE = 64 << 20
_METADATA = "__metadata__"
_VERSION = "layout"
_FIELDS = {
    PackedExperts: ("format", "num_experts", "hidden_size", "inner_size", "activation", "biased"),
    PackedMatrix: ("format", "outputs", "inputs"),
}


def save_packed(weights: Mapping[str, Packed], path: Path) -> None:
    """Write packed weights, by name, atomically.

    :raises ValueError: there is nothing to save, a name is reserved, or a tensor is not float32.
    """
    if not weights or {_METADATA, _VERSION} & weights.keys():
        raise ValueError(f"nothing to save, or a reserved name ({_METADATA}, {_VERSION})")
    # packed weights first: their sizes are multiples of 64, so all of them are aligned
    ordered = sorted(weights.items(), key=lambda item: isinstance(item[1], torch.Tensor))
    metadata = {_VERSION: str(_version(weights.values()))}
    header: dict[str, Any] = {_METADATA: metadata}
    start = 0
    for name, item in ordered:
        data = _bytes(item)
        about = {field: getattr(item, field) for field in _FIELDS.get(type(item), ())}
        metadata[name] = json.dumps({**about, "sha256": _digest(data)})
        header[name] = {
            "dtype": "F32" if isinstance(item, torch.Tensor) else "U8",
            "shape": list(item.shape) if isinstance(item, torch.Tensor) else [data.numel()],
            "data_offsets": [start, start + data.numel()],
        }
        start += data.numel()
    text = json.dumps(header).encode()
    text += b" " * (-(_HEAD.size + len(text)) % _ALIGNMENT)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(_HEAD.pack(len(text)) + text)
            for _, item in ordered:
                for piece in _bytes(item).split(_PIECE):
                    file.write(piece.numpy())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_packed(
    path: Path, *, mapped: bool = False, mixtures_mapped: bool = False
) -> dict[str, Packed]:
    """Read packed weights, by name.

    :param mapped: memory-map the weights: the system reads them as they are used, shares them
        between processes and drops them when memory is short. Checksums are then not verified,
        because that would read everything. Otherwise the weights are copied into huge pages, which
        are faster.
    :param mixtures_mapped: memory-map the experts of mixtures, and copy everything else.
    :raises ValueError: the file does not hold packed weights, is of another version, or is damaged.
    """
    result: dict[str, Packed] = {}
    for stored in _read_stored(path):
        mixture = stored.about.get("num_experts", 1) > 1
        result[stored.name] = stored.load(mapped=mapped or (mixtures_mapped and mixture))
        if mixtures_mapped and not mixture:
            stored.forget()
    return result


def verify_packed(path: Path) -> None:
    """Compare all weights of a file with their checksums.

    :raises ValueError: as :func:`load_packed` does.
    """
    for stored in _read_stored(path):
        stored.verify()


@dataclass(frozen=True, slots=True)
class _Stored:
    """An entry of a file: its mapped bytes, and what they are."""

    name: str
    path: Path
    whole: mmap.mmap
    start: int
    data: torch.Tensor
    shape: list[int]
    about: dict[str, Any]
    sha256: str

    def load(self, *, mapped: bool) -> Packed:
        data = self.data
        if not mapped:
            self.verify()
        if not self.about:  # a vector: small, and computing with it may require alignment
            return data.clone().view(torch.float32).view(self.shape)
        if not mapped:
            data = room(data.numel()).copy_(data)
        about = {**self.about, "format": Format(self.about["format"])}
        if "activation" not in about:
            return PackedMatrix(data, **about)
        about["activation"] = Activation(about["activation"])
        return PackedExperts(
            data, **about, mapped=FilePlace(self.path, self.start) if mapped else None
        )

    def forget(self) -> None:
        """Return the memory of what was read through the mapping to the system."""
        if not hasattr(os, "posix_fadvise"):
            return
        first = self.start // mmap.PAGESIZE * mmap.PAGESIZE
        size = self.start + self.data.numel() - first
        self.whole.madvise(mmap.MADV_DONTNEED, first, size)
        with self.path.open("rb") as file:  # whose pages stay in the system's cache
            os.posix_fadvise(file.fileno(), first, size, os.POSIX_FADV_DONTNEED)

    def verify(self) -> None:
        if _digest(self.data) != self.sha256:
            raise ValueError(f"{self.path} is damaged: the checksum of {self.name} does not match")


def _read_stored(path: Path) -> Iterator[_Stored]:
    """Return the entries of a file, after checking that all of them are complete."""
    try:
        with path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        (length,) = _HEAD.unpack_from(whole)
        header = json.loads(whole[_HEAD.size : _HEAD.size + length])
        metadata = header.pop(_METADATA)
        version = int(metadata[_VERSION])
        entries = []
        if version in (VERSION, DENSE_VERSION):
            entries = [
                _entry(name, path, whole, _HEAD.size + length, entry, json.loads(metadata[name]))
                for name, entry in header.items()
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"{path} has no packed weights, or is damaged ({error})") from error
    mixture = any(stored.about.get("num_experts", 1) > 1 for stored in entries)
    if not entries or (mixture and version != VERSION):
        raise ValueError(
            f"{path} has weights in layout {version}, but these kernels read layout {VERSION}: "
            "pack the model again"
        )
    return iter(entries)


def _entry(
    name: str,
    path: Path,
    whole: mmap.mmap,
    start: int,
    entry: Mapping[str, Any],
    about: dict[str, Any],
) -> _Stored:
    sha256 = about.pop("sha256")
    first, stop = entry["data_offsets"]
    size = _size(about, entry["shape"])
    if stop - first != size or first < 0 or start + stop > len(whole):
        raise ValueError("its size does not match its shape")
    if about and (start + first) % _ALIGNMENT:
        raise ValueError(f"its weights are not aligned to {_ALIGNMENT} bytes")
    data = torch.frombuffer(whole, dtype=torch.uint8, offset=start + first, count=size)
    return _Stored(name, path, whole, start + first, data, entry["shape"], about, sha256)


def _version(items: Iterable[Packed]) -> int:
    """Return the layout's version of some weights."""
    mixtures = any(isinstance(item, PackedExperts) and item.num_experts > 1 for item in items)
    return VERSION if mixtures else DENSE_VERSION


def _size(about: Mapping[str, Any], shape: list[int]) -> int:
    if not about:
        return 4 * int(torch.Size(shape).numel())
    form = Format(about["format"])
    if "activation" in about:
        sizes = about["num_experts"], about["hidden_size"], about["inner_size"]
        return layer_bytes(form, *sizes, biased=about.get("biased", False))
    return matrix_bytes(form, about["outputs"], about["inputs"])


def _bytes(item: Packed) -> torch.Tensor:
    if not isinstance(item, torch.Tensor):
        return item.data
    if item.dtype != torch.float32 or not item.numel():
        raise ValueError(f"vectors must be float32; got {item.dtype} of {tuple(item.shape)}")
    return item.detach().contiguous().view(-1).view(torch.uint8)


def _digest(data: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for piece in data.split(_PIECE):
        digest.update(piece.numpy())
    return digest.hexdigest()
