"""A model on our engine: its weights are packed layer by layer as they are read, or were before."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from expertrag.errors import InvalidArgument, ServerError
from expertrag.generation.checkpoint import NotStreamed, Streamed
from expertrag.generation.lowering import (
    Filled,
    Lowered,
    MakeDecoder,
    Unsupported,
    as_it_is,
    check,
    lower,
)
from expertrag.generation.native_network import NativeNetwork
from expertrag.generation.network import Limits
from expertrag.generation.source import ModelSource
from expertrag_kernels import Format, Packed, PackedMatrix, load_packed
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.torch_decoder import TorchDecoder

_log = logging.getLogger(__name__)
ROUNDED = (Format.INT8, Format.INT4)
DTYPES = {
    "bfloat16": Format.BF16,
    "float32": Format.F32,
    **{str(format): format for format in ROUNDED},
}
"""Names of formats on the command line."""


def native_network(
    name: str,
    source: ModelSource,
    format: Format,
    precision: torch.dtype,
    device: torch.device,
    cache_mib: int,
) -> NativeNetwork | None:
    """Load a model onto our engine; None, with one logged reason, where transformers runs it.

    :param precision: of what ``format`` leaves as it is; on a GPU of everything.
    """
    make = _decoder_of(device, precision)
    try:
        model, filled = outline(name, source, format, precision)
        limits = Limits.of(model, source.tokenizer)
        return _network(model, format, limits, cache_mib, filled=filled, make=make)
    except Unsupported as reason:
        _log.warning("%s runs in transformers instead of our engine: %s", name, reason)
        return None


def _decoder_of(device: torch.device, precision: torch.dtype) -> MakeDecoder:
    if device.type == "cpu":
        return Decoder
    return partial(TorchDecoder, device=device, dtype=precision)


def outline(
    name: str, source: ModelSource, format: Format, precision: torch.dtype
) -> tuple[Any, Filled]:
    """Make a model whose weights come layer by layer, or one that has them where that cannot be.

    :raises Unsupported: it is not for our engine; no weights were read.
    """
    # what a GGUF file rounded is held as it is in int4, but not once it is rounded to bfloat16
    exact = torch.float32 if source.gguf and format in ROUNDED else precision
    model = source.outline(exact)
    check(model, Limits.of(model, source.tokenizer).context_tokens)
    try:
        return model, Streamed(model, source.checkpoint(model)).filled
    except NotStreamed as reason:
        _log.warning("%s is loaded whole before it is packed: %s", name, reason)
        return source.whole(name, exact), as_it_is


def packed_network(
    name: str, source: ModelSource, path: Path, dtype: str, cache_mib: int
) -> NativeNetwork:
    """Run what ``expertrag models pack`` has packed; its weights stay in the file.

    :raises InvalidArgument: another dtype is wanted than that of the folder, or there are no
        compiled kernels.
    :raises ServerError: the file is damaged, or was packed by another version.
    """
    try:
        packed = load_packed(path, mapped=True)
        format = packed_format(packed)
    except ValueError as error:
        raise unusable(name, error) from error
    if dtype != "auto" and DTYPES.get(dtype) != format:
        there = next(name for name, known in DTYPES.items() if known is format)
        raise InvalidArgument(
            f"{name} is packed in {there}, and cannot be run in {dtype}: use --dtype auto, or pack "
            f"the model again in {dtype}"
        )
    model = source.outline(source.config.dtype)
    limits = Limits.of(model, source.tokenizer)
    try:
        return _network(model, format, limits, cache_mib, packed=packed)
    except Unsupported as reason:
        raise InvalidArgument(f"{name} is packed, and cannot be run here: {reason}") from reason
    except ValueError as error:
        raise unusable(name, error) from error


def unusable(name: str, error: ValueError) -> ServerError:
    """Error for packed weights that are damaged, or of another version or model."""
    return ServerError(
        f"the packed model {name!r} cannot be used ({error}); run: expertrag models pack",
        reason="MODEL_DAMAGED",
        metadata={"model": name},
    )


def packed_format(packed: Mapping[str, Packed]) -> Format:
    """Return the format that a packed model's layers are in.

    :raises ValueError: it has none.
    """
    layer = packed.get("layers.0.out")
    if not isinstance(layer, PackedMatrix):
        raise ValueError("layers.0.out is missing")
    return layer.format


def _network(
    model: Any, format: Format, limits: Limits, cache_mib: int, **options: Any
) -> NativeNetwork:
    lowered: Lowered = lower(
        model,
        format,
        cache_bytes=cache_mib << 20,
        context_tokens=limits.context_tokens,
        **options,
    )
    return NativeNetwork(lowered, limits)
