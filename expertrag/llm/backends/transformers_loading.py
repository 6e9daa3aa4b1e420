"""Loads a checkpoint into our engine if it can run it, else into transformers."""

from __future__ import annotations

from typing import Any

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.low_rank import LowRankAdapters
from expertrag.llm.adapters.served import ServedAdapters
from expertrag.llm.adapters.serving import load_adapters
from expertrag.llm.engine.native_network import CacheRoom
from expertrag.llm.fingerprint import source_fingerprint
from expertrag.llm.load.loading import ModelFiles, quiet
from expertrag.llm.network import Limits, Network
from expertrag_kernels import Format
from expertrag_kernels.cpu_experts import ISAS

# without AVX2, as on ARM, it was not measured that we are faster than torch
_VECTORS = ISAS[:1] not in ((), ("generic",))
_FORMATS = {torch.float32: Format.F32, torch.bfloat16: Format.BF16, torch.float16: Format.BF16}


def reader_of(files: ModelFiles, adapters: ServedAdapters | None) -> ServedAdapters | None:
    """Return the adapters of a model's own reader, or the given ones, which have to fit it."""
    if files.reader is None:
        if adapters:
            adapters.check_base(files.name, source_fingerprint(files.folder, files.gguf))
        return adapters
    if adapters:
        raise InvalidArgument(
            f"reader: {files.name} has a reader of its own; set the reader to auto"
        )
    return load_adapters(files.reader)


def load_network(
    name: str,
    files: ModelFiles,
    rounded: Format | None,
    precision: torch.dtype,
    target: torch.device,
    room: CacheRoom | None,
    adapters: ServedAdapters | None,
    *,
    as_stored: bool,
) -> tuple[Network, Any]:
    """Load a checkpoint and its tokenizer.

    :param room: KV cache of our engine, which runs the model if it can; None: transformers runs it.
    :param as_stored: on the CPU, our engine leaves experts in MXFP4 as they are.
    :raises InvalidArgument: transformers has to run the model, and cannot run ``adapters``; or
        ``rounded`` is mxfp4, and the experts are not stored in it.
    """
    # these import transformers, which packed folders do not need
    import expertrag_kernels
    from expertrag.llm.backends.transformers_network import TransformersNetwork
    from expertrag.llm.load.native_loading import native_network
    from expertrag.llm.load.source import ModelSource

    expertrag_kernels.register()
    with quiet():
        source = ModelSource(files)
        if rounded:
            source.formats(rounded)  # checks that the model has the format
        if room is not None:
            kept = as_stored and target.type == "cpu" and source.mxfp4
            format = rounded or (Format.MXFP4 if kept else _FORMATS[precision])
            # as a packed folder has it, on any processor
            rest = torch.bfloat16 if rounded else precision
            network = native_network(name, source, format, rest, target, room, adapters)
            if network is not None:
                return network, source.tokenizer
        if adapters is not None and not isinstance(adapters, LowRankAdapters):
            raise InvalidArgument(
                f"reader: {name} does not run on our engine here, which a reader needs; use "
                "model.dtype=int8, or model.reader=none"
            )
        model = source.whole(name, precision, target)
    limits = Limits.of(model, source.tokenizer)
    limits = adapters.limits(limits) if adapters else limits
    run_by_torch = _pack(model, name, rounded)
    return TransformersNetwork(run_by_torch, limits, adapters), source.tokenizer


def runs_on_engine(device: torch.device, dtype: torch.dtype, rounded: Format | None) -> bool:
    """Whether our engine supports a dtype on a device, and is faster than transformers."""
    if device.type != "cpu":
        return device.type == "cuda" and rounded is None
    return bool(ISAS) and (bool(rounded) or (_VECTORS and dtype is not torch.float16))


def check_packed(name: str, device: str, *, native: bool) -> None:
    """Check that a packed model is to run on our engine.

    :raises InvalidArgument: it is not.
    """
    if device not in ("auto", "cpu") or not native:
        raise InvalidArgument(
            f"{name} is packed for our engine on the CPU; use model.device=cpu, or the checkpoint "
            "that it was packed from"
        )


def _pack(model: Any, name: str, rounded: Format | None) -> Any:
    """Run a mixture of experts through our kernels, and pack it for them on the CPU.

    :raises InvalidArgument: the experts are to be quantised, and no kernel can run them.
    """
    from expertrag_kernels import pack_model

    packed = 0
    if any(hasattr(module, "is_concatenated") for module in model.modules()):
        model.set_experts_implementation("expertrag")
        worthwhile = _VECTORS and model.dtype is not torch.float16
        if model.device.type == "cpu" and ISAS and (rounded or worthwhile):
            packed = pack_model(model, rounded)
    if rounded and not packed:
        raise InvalidArgument(
            f"{name} cannot be run in {rounded}: that needs a model of a supported kind, on the "
            "CPU, and compiled kernels (see `expertrag doctor`); use model.dtype=auto"
        )
    return model
