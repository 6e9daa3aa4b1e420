"""The back ends by the prefix of a model's name; each is imported only when it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

from expertrag.api.errors import InvalidArgument, MissingExtra
from expertrag.llm.base import Generator
from expertrag_common.extras import install_command

if TYPE_CHECKING:
    from expertrag.llm.adapters.served import ServedAdapters


class EngineOptions(TypedDict):
    """Data type, device, MiB of KV cache, of what stays of it, of weights; adapters, routing."""

    dtype: str
    device: str
    cache_mib: int
    reuse_mib: int
    weights_mib: int
    adapters: ServedAdapters | None
    routing: str


def _openai(name: str, options: EngineOptions) -> Generator:
    from expertrag.llm.backends.openai_backend import OpenAIGenerator

    if options["adapters"]:
        raise InvalidArgument(
            "reader: it needs a model on our own engine, not on a server; name a model for the "
            "engine, or merge the reader into the server's model"
        )
    if options["weights_mib"]:
        raise InvalidArgument("lab.weights_mib needs a model on our own engine, not on a server")
    if options["routing"]:
        raise InvalidArgument(
            "routing: it needs a model on our own engine, not on a server; leave it empty"
        )
    return OpenAIGenerator.connect(name)


def _transformers(name: str, options: EngineOptions) -> Generator:
    from expertrag.llm.backends.transformers_backend import TransformersGenerator

    return TransformersGenerator.load(name, **options)


_BACKENDS: dict[str, Callable[[str, EngineOptions], Generator]] = {
    "openai:": _openai,
    "": _transformers,  # matches all other names
}


def load_generator(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    cache_mib: int = 1024,
    reuse_mib: int = 64,
    weights_mib: int = 0,
    adapters: ServedAdapters | None = None,
    routing: str = "",
) -> Generator:
    """Load a language model by name.

    :param name: a folder or hub id that transformers loads, or a GGUF file (on the CPU, most run on
        our own engine and the others in transformers); a folder of ``expertrag llm pack``; or
        ``openai:URL#MODEL`` for an OpenAI-compatible server, for example
        ``openai:http://127.0.0.1:8000/v1#qwen3``; several URLs are separated by commas.
    :param dtype: ``auto`` (bfloat16 if the hardware multiplies it, else float32), ``bfloat16``,
        ``float16`` or ``float32``; ``int8`` and ``int4`` quantise the weights, on the CPU only;
        ``mxfp4`` leaves experts that are stored in it as they are, and so does ``auto`` on the CPU;
        a server chooses its own.
    :param device: ``auto`` (CUDA if there is one), ``cpu``, ``cuda``, ``cuda:0``, ``mps``.
    :param cache_mib: memory of the KV cache on the CPU; unused pages take none.
    :param reuse_mib: the part of it that stays cached when no sequence holds it (prefix caching).
    :param weights_mib: memory of the weights of a mixture in a folder of ``expertrag llm pack``;
        experts beyond it are read from the file as they are needed. 0: no limit.
    :param adapters: adapters of a reader, on our engine only.
    :param routing: policy of requests that name none (:meth:`expertrag_kernels.Routing.parse`), of
        mixtures on our engine only.
    :raises InvalidArgument: if the name, the dtype or the device is not usable, the model does not
        run on our engine and ``adapters`` is given, it cannot follow ``routing``, or
        ``weights_mib`` is too small for it.
    :raises Conflict: if the adapters were trained on another model.
    :raises NotFound: if there is no such model.
    :raises ServerError: if the model's files are damaged.
    :raises MissingExtra: if the back end is not installed.
    """
    prefix = next(prefix for prefix in _BACKENDS if name.startswith(prefix))
    options = EngineOptions(
        dtype=dtype, device=device, cache_mib=cache_mib, reuse_mib=reuse_mib,
        weights_mib=weights_mib, adapters=adapters, routing=routing,
    )  # fmt: skip
    try:
        return _BACKENDS[prefix](name.removeprefix(prefix), options)
    except ImportError as error:
        raise MissingExtra(
            f"{name!r} needs the package {error.name!r}; run: {install_command('server')}",
            reason="MISSING_EXTRA",
        ) from error
