"""Pack a model once, into a folder that is memory-mapped at every start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from expertrag.api.errors import InvalidArgument
from expertrag.llm.engine.lowering import Filled, Lowered, Unsupported, lower
from expertrag.llm.engine.program import recording_decoder
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.description import describe
from expertrag.llm.load.loading import (
    PACKED_FILE,
    READER_FOLDER,
    first_line,
    model_errors,
    model_files,
    quiet,
)
from expertrag.llm.load.native_loading import outline
from expertrag.llm.load.packed_loading import DTYPES, unusable
from expertrag.llm.load.source import ModelSource
from expertrag.llm.network import Limits
from expertrag.runtime.threads import all_cores
from expertrag_kernels import Format, save_packed, verify_packed
from expertrag_retriever.publish import publish

if TYPE_CHECKING:
    from expertrag_index.types import Progress


def pack_folder(name: str, dtype: str, out: Path, progress: Progress) -> None:
    """Pack a model into a folder, which appears whole or not at all.

    :param name: as in :func:`expertrag.llm.load_generator`.
    :param dtype: ``bfloat16``, ``float32``, ``int8``, ``int4`` or ``mxfp4``.
    :raises NotFound: if there is no such model.
    :raises InvalidArgument: if our engine does not run the model, it is packed already, or its
        experts are not stored in ``mxfp4`` and that is asked for.
    :raises ServerError: if the model's files are damaged.
    """
    files = model_files(name)
    if files.is_packed:
        raise InvalidArgument(f"{name} is packed already: name the model that it was packed from")
    with model_errors(name), quiet(), all_cores():
        progress(f"read {files.name}", 0, 1)  # a GGUF file's vocabulary takes a while
        source = ModelSource(files)
        progress(f"read {files.name}", 1, 1)
        model, lowered = _pack(name, source, DTYPES[dtype], progress)
    progress(f"write {out}", 0, 1)
    # outside model_errors: a full disk does not mean a damaged model
    with quiet(), publish(out) as scratch:
        model.config.packed_from = f"{fingerprint(files.folder, files.gguf)} in {dtype}"
        model.config.save_pretrained(scratch)
        model.generation_config.save_pretrained(scratch)
        source.tokenizer.save_pretrained(scratch)
        describe(scratch, lowered, model, source.tokenizer)
        (scratch / "README.md").write_text(_card(source, dtype), encoding="utf-8")
        if files.reader is not None:
            shutil.copytree(files.reader, scratch / READER_FOLDER)
        # last: without weights, what a killed command leaves behind does not load
        save_packed(lowered.weights, scratch / PACKED_FILE)
    progress(f"write {out}", 1, 1)


def verify_folder(name: str) -> None:
    """Compare all weights of a packed model with their checksums, and read its configuration.

    :param name: as in :func:`expertrag.llm.load_generator`, which finds damage of the other files.
    :raises NotFound: if there is no such model.
    :raises InvalidArgument: if it is not packed.
    :raises ServerError: if it is damaged, or was packed by another version.
    """
    packed = model_files(name).is_packed
    if packed is None:
        raise InvalidArgument(
            f"{name} is not packed, so it has no checksums: pack it (expertrag llm pack), or name "
            "a model made from it, too (expertrag llm verify MODEL CHANGED --rows ROWS)"
        )
    try:
        verify_packed(packed)
    except ValueError as error:
        raise unusable(name, error) from error
    with model_errors(name):  # not every loader reads it
        json.loads(packed.with_name("config.json").read_bytes())


def _pack(
    name: str, source: ModelSource, format: Format, progress: Progress
) -> tuple[Any, Lowered]:
    # of everything that is not quantised; the same on any processor
    dtype = torch.float32 if format is Format.F32 else torch.bfloat16
    try:
        model, filled = outline(name, source, format, dtype)
        with ThreadPoolExecutor(max_workers=1) as reading:
            rest, experts = source.formats(format)
            lowered = lower(
                model,
                rest,
                experts=experts,
                cache_bytes=1 << 30,  # address space: no page of it is used
                context_tokens=Limits.of(model, source.tokenizer).context_tokens,
                filled=_with_progress(
                    _ahead(filled, model, reading), f"pack {source.files.name}", model, progress
                ),
                make=recording_decoder,
            )
    except Unsupported as reason:
        raise InvalidArgument(
            f"{name} cannot be packed ({first_line(reason)}); serve it without packing"
        ) from reason
    return model, lowered


def _ahead(filled: Filled, model: Any, reading: ThreadPoolExecutor) -> Filled:
    """Read each layer while the one before it is packed."""
    layers = list(model.model.layers)
    after = dict(pairwise(layers))
    begun: dict[nn.Module, Future[ExitStack]] = {}

    def read(module: nn.Module) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(filled(module))
        return stack

    @contextmanager
    def ahead(module: nn.Module) -> Iterator[None]:
        there = begun.pop(module, None) or reading.submit(read, module)
        with there.result():
            following = after.get(module)
            if following is not None:
                begun[following] = reading.submit(read, following)
            yield

    return ahead


def _with_progress(filled: Filled, stage: str, model: nn.Module, progress: Progress) -> Filled:
    """Report how many weights have been read."""
    total = sum(parameter.numel() for parameter in model.parameters())
    done = 0

    @contextmanager
    def telling(module: nn.Module) -> Iterator[None]:
        nonlocal done
        with filled(module):
            yield
        done += sum(parameter.numel() for parameter in module.parameters())
        progress(stage, done, total)

    return telling


def _card(source: ModelSource, dtype: str) -> str:
    files = source.files
    kept = source.formats(DTYPES[dtype])[1] is Format.MXFP4 and DTYPES[dtype] is not Format.MXFP4
    weights = f"{dtype}, experts as they are in mxfp4" if kept else dtype
    return f"""---
library_name: expertrag
---
# {files.name}, packed in {dtype}

The weights of {files.name} in the order in which ExpertRAG's kernels read them, made by
`expertrag llm pack`. They are mapped: `expertrag serve --generator FOLDER` starts at once.

- From: {files.gguf or files.name} (fingerprint {fingerprint(files.folder, files.gguf)})
- Weights: {weights}; `expertrag llm verify FOLDER` compares them with their checksums
- Licence: {(source.gguf.licence() if source.gguf else None) or "the same as the model's"}
"""
