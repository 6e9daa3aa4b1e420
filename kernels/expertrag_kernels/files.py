"""Packed experts on disk: a safetensors file whose weights lie where the kernels can read them.

Every layer is a tensor of bytes, which begins at a multiple of 64 in the file, so that a mapping of
it is aligned; shape, format and SHA-256 stand in the file's metadata. Any reader of safetensors
reads the file; the writer is our own, as the library's aligns to 8.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from expertrag_kernels.layout import layer_bytes, room
from expertrag_kernels.packed import Activation, Format, PackedExperts

_ALIGNMENT = 64
_HEAD = struct.Struct("<Q")
_PIECE = 64 << 20
_METADATA = "__metadata__"
_SHAPE = ("format", "num_experts", "hidden_size", "inner_size", "activation")


def save_packed(layers: Mapping[str, PackedExperts], path: Path) -> None:
    """Write packed layers, by name; the file appears whole or not at all.

    :raises ValueError: no layers.
    """
    if not layers or _METADATA in layers:
        raise ValueError(f"no layers to save, or one named {_METADATA}")
    header: dict[str, Any] = {_METADATA: {}}
    start = 0
    for name, layer in layers.items():
        about = {field: getattr(layer, field) for field in _SHAPE}
        header[_METADATA][name] = json.dumps({**about, "sha256": _digest(layer.data)})
        stop = start + layer.data.numel()
        header[name] = {"dtype": "U8", "shape": [stop - start], "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    text += b" " * (-(_HEAD.size + len(text)) % _ALIGNMENT)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(_HEAD.pack(len(text)) + text)
            for layer in layers.values():
                for piece in layer.data.split(_PIECE):
                    file.write(piece.numpy())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_packed(path: Path, *, mapped: bool = False) -> dict[str, PackedExperts]:
    """Read packed layers, by name.

    :param mapped: leave the weights in the file, which the system reads as they are used and drops
        when memory is short. Checksums are not verified then, as that reads everything; otherwise
        the weights are copied into huge pages, which are faster.
    :raises ValueError: the file is not one of packed layers, or is damaged.
    """
    try:
        with path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        (length,) = _HEAD.unpack_from(whole)
        header = json.loads(whole[_HEAD.size : _HEAD.size + length])
        metadata = header.pop(_METADATA)
        found = {
            name: _layer(whole, _HEAD.size + length, entry, json.loads(metadata[name]), mapped)
            for name, entry in header.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"{path} holds no packed experts, or is damaged ({error})") from error
    return found


def _layer(
    whole: mmap.mmap, start: int, entry: Mapping[str, Any], about: dict[str, Any], mapped: bool
) -> PackedExperts:
    sha256 = about.pop("sha256")
    form, activation = Format(about.pop("format")), Activation(about.pop("activation"))
    first, stop = entry["data_offsets"]
    size = layer_bytes(form, about["num_experts"], about["hidden_size"], about["inner_size"])
    if stop - first != size or first < 0 or start + stop > len(whole):
        raise ValueError("its size is not that of its shape")
    if (start + first) % _ALIGNMENT:
        raise ValueError(f"its weights are not aligned to {_ALIGNMENT} bytes")
    data = torch.frombuffer(whole, dtype=torch.uint8, offset=start + first, count=size)
    if not mapped:
        if _digest(data) != sha256:
            raise ValueError("a checksum does not hold")
        data = room(size).copy_(data)
    return PackedExperts(data, form, activation=activation, **about)


def _digest(data: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for piece in data.split(_PIECE):
        digest.update(piece.numpy())
    return digest.hexdigest()
