"""Load a model packed by ``expertrag llm pack`` onto our engine: memory-mapped, not copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.llm.adapters.served import ServedAdapters
from expertrag.llm.engine.expert_memory import limit_weights
from expertrag.llm.engine.lowering import Lowered, Unsupported, lower
from expertrag.llm.engine.native_network import CacheRoom, NativeNetwork
from expertrag.llm.load.description import Description
from expertrag.llm.load.file_tokenizer import FileTokenizer
from expertrag.llm.load.loading import PACKED_FILE, ModelFiles, quiet
from expertrag.llm.network import Limits
from expertrag_kernels import Format, Packed, PackedExperts, PackedMatrix, load_packed
from expertrag_kernels.cpu_experts import ISAS

QUANTISED = (Format.INT8, Format.INT4, Format.MXFP4)
"""Formats that only our engine runs, on the CPU."""
DTYPES = {
    "bfloat16": Format.BF16,
    "float32": Format.F32,
    **{str(format): format for format in QUANTISED},
}
"""Formats by their names on the command line; mxfp4 is a format of experts alone."""


def load_packed_network(
    name: str,
    files: ModelFiles,
    dtype: str,
    room: CacheRoom,
    adapters: ServedAdapters | None = None,
    *,
    weights_mib: int = 0,
) -> tuple[NativeNetwork, Any]:
    """Load a packed folder; its weights stay in the file. Returns the network and its tokenizer.

    :param adapters: adapters of the model.
    :param weights_mib: memory of the weights of a mixture; 0 for no limit.
    :raises InvalidArgument: ``dtype`` is not the folder's, there are no compiled kernels, or
        ``weights_mib`` is too small, or given for a model without a mixture.
    :raises ServerError: the file is damaged, or was packed by another version.
    """
    try:
        path = files.folder / PACKED_FILE
        packed = load_packed(path, mapped=not weights_mib, mixtures_mapped=weights_mib > 0)
        format = read_format(packed)
        experts = _experts_format(packed, format)
    except ValueError as error:
        raise unusable(name, error) from error
    kept = format is Format.BF16 and experts is Format.MXFP4
    there = next(name for name, known in DTYPES.items() if known is (experts if kept else format))
    if dtype not in ("auto", there):
        raise InvalidArgument(
            f"{name} is packed in {there}, and cannot be run in {dtype}: use model.dtype=auto, "
            f"or pack the model again in {dtype}"
        )
    try:
        if not ISAS:
            raise Unsupported("there are no compiled kernels")
        formats = format, experts
        lowered, limits, tokenizer = _plan(files, packed, formats, room.bytes, adapters)
    except Unsupported as reason:
        raise InvalidArgument(f"{name} is packed, and cannot be run here: {reason}") from reason
    except ValueError as error:
        raise unusable(name, error) from error
    if weights_mib:
        limit_weights(name, lowered, weights_mib)
    limits = adapters.limits(limits) if adapters else limits
    return NativeNetwork(lowered, limits, room.kept_bytes), tokenizer


def _plan(
    files: ModelFiles,
    packed: Mapping[str, Packed],
    formats: tuple[Format, Format],
    cache_bytes: int,
    adapters: ServedAdapters | None,
) -> tuple[Lowered, Limits, Any]:
    """Plan the steps from the folder's description, or from transformers' modules."""
    described = Description.read(files.folder)
    if described:
        limits = described.limits
        tokenizer = FileTokenizer(files.folder, described.special_tokens)
        lowered = described.program.plan(
            packed,
            cache_bytes=cache_bytes,
            context_tokens=limits.context_tokens,
            adapters=adapters,
        )
        return lowered, limits, tokenizer
    from expertrag.llm.load.source import ModelSource  # imports transformers, which takes seconds

    with quiet():
        source = ModelSource(files)
        model = source.outline(source.config.dtype)
    limits = Limits.of(model, source.tokenizer)
    lowered = lower(
        model,
        formats[0],
        experts=formats[1],
        cache_bytes=cache_bytes,
        context_tokens=limits.context_tokens,
        packed=packed,
        adapters=adapters,
    )
    return lowered, limits, source.tokenizer


def unusable(name: str, error: ValueError) -> ServerError:
    """Return the error for packed weights that are damaged, or of another version or model."""
    return ServerError(
        f"the packed model {name!r} cannot be used ({error}); run: expertrag llm pack",
        reason="MODEL_DAMAGED",
        metadata={"model": name},
    )


def read_format(packed: Mapping[str, Packed]) -> Format:
    """Return the format of a packed model's layers.

    :raises ValueError: a layer is missing.
    """
    layer = packed.get("layers.0.out")
    if not isinstance(layer, PackedMatrix):
        raise ValueError("layers.0.out is missing")
    return layer.format


def _experts_format(packed: Mapping[str, Packed], format: Format) -> Format:
    """Return the format of a packed model's routed experts; ``format`` if it has none."""
    mixtures = (item for name, item in packed.items() if name.endswith(".experts"))
    return next((item.format for item in mixtures if isinstance(item, PackedExperts)), format)
