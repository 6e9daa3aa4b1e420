"""The back ends by the prefix of a model's name; each is imported only when it is named."""

from __future__ import annotations

from collections.abc import Callable

from expertrag.errors import MissingExtra
from expertrag.generation.base import Generator

Load = Callable[[str, str, str, int, int], Generator]
"""Make a generator from the name without its prefix, dtype, device, and the MiB of its cache and of
what is kept of it."""


def _openai(name: str, dtype: str, device: str, cache_mib: int, reuse_mib: int) -> Generator:
    from expertrag.generation.openai_backend import OpenAIGenerator

    return OpenAIGenerator.connect(name)


def _transformers(name: str, dtype: str, device: str, cache_mib: int, reuse_mib: int) -> Generator:
    from expertrag.generation.transformers_backend import TransformersGenerator

    return TransformersGenerator.load(
        name, dtype=dtype, device=device, cache_mib=cache_mib, reuse_mib=reuse_mib
    )


_BACKENDS: dict[str, Load] = {"openai:": _openai, "": _transformers}  # "" takes what is left


def load_generator(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    cache_mib: int = 1024,
    reuse_mib: int = 64,
) -> Generator:
    """Load a language model by name.

    :param name: a folder or hub id that transformers loads, or a GGUF file (on the CPU most run on
        an engine of our own, all others in transformers); a folder of ``expertrag models pack``; or
        ``openai:URL#MODEL`` for an OpenAI-compatible server, for example
        ``openai:http://127.0.0.1:8000/v1#qwen3``.
    :param dtype: ``auto`` (bfloat16 where the hardware multiplies it, else float32),
        ``bfloat16``, ``float16`` or ``float32``; ``int8`` and ``int4`` round the weights, on
        the CPU; a server chooses for itself.
    :param device: ``auto`` (CUDA if there is one), ``cpu``, ``cuda``, ``cuda:0``, ``mps``.
    :param cache_mib: memory for keys and values on the CPU; what is not used takes none.
    :param reuse_mib: what of it stays when no text needs it, for others that begin alike.
    :raises InvalidArgument: if the name, the dtype or the device cannot be.
    :raises NotFound: if there is no such model.
    :raises ServerError: if the model's files are damaged.
    :raises MissingExtra: if the back end is not installed.
    """
    prefix = next(prefix for prefix in _BACKENDS if name.startswith(prefix))
    try:
        return _BACKENDS[prefix](name.removeprefix(prefix), dtype, device, cache_mib, reuse_mib)
    except ImportError as error:
        raise MissingExtra(
            f"{name!r} needs the package {error.name!r}; run: pip install 'expertrag[server]'",
            reason="MISSING_EXTRA",
        ) from error
