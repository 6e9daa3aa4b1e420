"""Load a model onto our engine: its weights are packed layer by layer as they are read."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import torch

from expertrag.llm.adapters.served import ServedAdapters
from expertrag.llm.engine.lowering import (
    Filled,
    Lowered,
    MakeDecoder,
    Unsupported,
    as_it_is,
    check,
    lower,
)
from expertrag.llm.engine.native_network import CacheRoom, NativeNetwork
from expertrag.llm.load.checkpoint import NotStreamed, Streamed
from expertrag.llm.load.packed_loading import QUANTISED
from expertrag.llm.load.source import ModelSource
from expertrag.llm.network import Limits
from expertrag_kernels import Format
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.torch_decoder import TorchDecoder

_log = logging.getLogger(__name__)


def native_network(
    name: str,
    source: ModelSource,
    format: Format,
    precision: torch.dtype,
    device: torch.device,
    room: CacheRoom,
    adapters: ServedAdapters | None = None,
) -> NativeNetwork | None:
    """Load a model onto our engine; None, with the reason logged, if transformers has to run it.

    :param precision: of everything that ``format`` does not quantise; on a GPU, of everything.
    :param adapters: adapters of the model.
    """
    make = _decoder_of(device, precision)
    try:
        model, filled = outline(name, source, format, precision)
        limits = Limits.of(model, source.tokenizer)
        limits = adapters.limits(limits) if adapters else limits
        given = {"filled": filled, "make": make, "adapters": adapters}
        return _network(model, source.formats(format), limits, room, **given)
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
    """Make a model whose weights are read layer by layer, or, if that is impossible, a loaded one.

    :raises InvalidArgument: ``format`` is mxfp4, and the experts are not stored in it.
    :raises Unsupported: our engine does not run the model; no weights were read.
    """
    kept = source.formats(format)[1] is Format.MXFP4
    # int4 keeps the quantised values of a GGUF file, unless they are rounded to bfloat16 first
    exact = torch.float32 if source.gguf and format in QUANTISED else precision
    model = source.outline(exact)
    check(model, Limits.of(model, source.tokenizer).context_tokens)
    try:
        return model, Streamed(model, source.checkpoint(model, kept=kept)).hold_filled
    except NotStreamed as reason:
        _log.warning("%s is loaded whole before it is packed: %s", name, reason)
        return source.whole(name, exact), as_it_is


def _network(
    model: Any, formats: tuple[Format, Format], limits: Limits, room: CacheRoom, **options: Any
) -> NativeNetwork:
    format, experts = formats
    lowered: Lowered = lower(
        model,
        format,
        experts=experts,
        cache_bytes=room.bytes,
        context_tokens=limits.context_tokens,
        **options,
    )
    return NativeNetwork(lowered, limits, room.kept_bytes)
