"""Puts a pipeline together from the configuration."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag import models
from expertrag.answer.decide import check_drafts
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.served_gate import ServedGate, check_models
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.audit import Audit
from expertrag.config import (
    AUTO_EMBEDDER,
    AUTO_GATE,
    AUTO_GENERATOR,
    AUTO_PROBE,
    AUTO_READER,
    NO_PROBE,
    NO_READER,
    TOGETHER,
    Config,
    GateConfig,
    ModelConfig,
    needs_fitted_gate,
)
from expertrag.llm import load_generator, prompt
from expertrag.runtime.error_mapping import translated_errors
from expertrag_index.errors import StoreNotFoundError
from expertrag_index.index import Index
from expertrag_kernels.cpu_experts import ISAS
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.experts.bundle import base_of, is_bundle
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.bundle import load_gate

if TYPE_CHECKING:
    from expertrag.llm.adapters.beside import Beside
    from expertrag.llm.base import Generator
    from expertrag_retriever.encoder import SentenceTransformerEmbedder
    from expertrag_retriever.gate.bundle import GateBundle

_log = logging.getLogger(__name__)
DEFAULT_EMBEDDER = "minilm-domains"
"""What a new store is built with unless the caller names another."""


def open_pipeline(config: Config) -> Pipeline:
    """Load the models and open the store that ``config`` names; the caller closes it.

    :raises ExpertRAGError: if a model or the store cannot be used, with the cure in the message.
    """
    if not config.index:
        raise InvalidArgument(
            "index: is not set; name the folder of a store with --index",
            reason="INVALID_CONFIG",
            metadata={"field": "index"},
        )
    model, store = config.model, Path(config.index)
    audit = Audit.of(config.audit)  # first: a wrong path is told before the models are loaded
    embedder, generator = open_embedder(model, store), open_generator(model, config.gate)
    return Pipeline(
        store,
        embedder,
        generator,
        gate=open_gate(config.gate, embedder, generator),
        policy=config.gate,
        load_embedder=lambda: open_embedder(replace(model, embedder=AUTO_EMBEDDER), store),
        audit=audit,
    )


def open_gate(
    gate: GateConfig, embedder: SentenceTransformerEmbedder, generator: Generator
) -> ServedGate | None:
    """Open the fitted gate that is configured; None where it is the training-free one.

    ``auto`` is the shipped gate of the language model, where the embedder is its own, too.

    :raises ExpertRAGError: if it cannot be used with these models.
    """
    served = None
    if gate.named:
        served = _open_gate(gate.bundle, embedder, generator)
    elif gate.bundle == AUTO_GATE and (shipped := models.gate_of(generator.name)):
        try:
            served = _open_gate(shipped, embedder, generator)
        except Conflict as reason:
            _log.warning("the training-free gate decides: %s", reason.message)
    if served is None and gate.answer_value_s is not None:
        raise needs_fitted_gate()
    return served


def _open_gate(
    name: str, embedder: SentenceTransformerEmbedder, generator: Generator
) -> ServedGate:
    def check(bundle: GateBundle) -> None:
        # Not the embedder: the store may have moved to another one since, and the gate with it.
        check_models(bundle, embedder=bundle.needs.embedder_fingerprint, generator=own)
        check_drafts(bundle, generator)

    own = generator.fingerprint
    served = ServedGate(models.gate_folder(name), check)
    base = embedder.fingerprint_of_expert(GENERAL)
    check_models(served.current(), embedder=base, generator=own)
    return served


def open_generator(model: ModelConfig, gate: GateConfig | None = None) -> Generator:
    """Load the language model that is configured.

    ``auto`` is the one that the fitted gate reads, if there is such a gate, else the best that this
    machine has memory for.

    :raises ExpertRAGError: if it cannot be used, with the cure in the message.
    """
    name = _auto_generator(model, gate) if model.generator == AUTO_GENERATOR else model.generator
    opened = load_generator(
        models.resolve(name),
        dtype=model.dtype,
        device=model.device,
        cache_mib=model.cache_mib,
        reuse_mib=model.reuse_mib,
        beside=_reader(model.reader, name),
    )
    _probe(model.probe, opened)
    # its doubt was trained: by a probe, or as a reader, whose prompts are the plain ones
    tells = bool(opened.probe) or (opened.reader and opened.family == prompt.PLAIN.name)
    opened.best_first = tells and model.passages != TOGETHER
    return opened


def _probe(named: str, generator: Generator) -> None:
    """Let the probe that is configured tell whether passages hold the answer.

    ``auto`` is the shipped one of the generator; with a reader beside it, the reader tells.

    :raises Conflict: the one that is named belongs to another model.
    :raises InvalidArgument: the generator shows no hidden states.
    """
    folder = models.probe_of(generator.name) if named == AUTO_PROBE else Path(named)
    if named == NO_PROBE or folder is None:
        return
    from expertrag.llm.probe import load_probe

    if (model := generator.white_box) is None:
        raise InvalidArgument(
            "probe: it reads hidden states, which a server does not show; set the probe to none"
        )
    probe = load_probe(folder)
    try:
        model.probe_with(probe)
    except Conflict:
        if named != AUTO_PROBE:
            raise
        _log.info("no probe: the shipped one is of %s as it is packed, alone", generator.name)
    else:
        _log.info("probe %s: tells whether passages hold the answer", folder.name)


def _reader(named: str, generator: str) -> Beside | None:
    """Read the reader that is configured, or the shipped one of the generator; None for none."""
    if named == NO_READER:
        return None
    folder = models.reader_of(generator) if named == AUTO_READER else Path(named)
    if folder is None:
        return None
    from expertrag.llm.adapters.serving import load_beside

    _log.info("reader %s: beside %s", folder.name, generator)
    return load_beside(folder)


def _auto_generator(model: ModelConfig, gate: GateConfig | None) -> str:
    if gate and gate.named:
        with translated_errors():
            bundle = load_gate(models.gate_folder(gate.bundle))
        if bundle.needs.generator:
            _log.info("generator %s: the gate reads it", bundle.needs.generator)
            return bundle.needs.generator
    choice = models.choose(dtype=model.dtype, device=model.device, kernels=bool(ISAS))
    # a better one is within reach: told to those, too, who do not read on
    _log.log(logging.WARNING if choice.cure else logging.INFO, "generator %s", choice.told)
    return choice.name


def open_embedder(model: ModelConfig, store: Path | None) -> SentenceTransformerEmbedder:
    """Load the embedder that is configured; ``auto`` is the one that made the store.

    :param store: None for a store that is yet to be made.
    :raises ExpertRAGError: if it cannot be used, with the cure in the message.
    """
    with translated_errors():
        name = _embedder_of(store) if model.embedder == AUTO_EMBEDDER else model.embedder
        if Path(name).is_dir():
            name = str(Path(name).resolve())  # the store remembers it, wherever it is opened from
        source = models.resolve(name)
        if is_bundle(folder := Path(source)):
            base = models.resolve(base_of(folder).name)
            return load_embedder(base, name=name, device=model.device, experts=folder)
        return load_embedder(source, name=name, device=model.device)


def _embedder_of(store: Path | None) -> str:
    if store is None:
        return DEFAULT_EMBEDDER
    try:
        with Index.open(store) as index:
            return index.manifest.embedder.name
    except StoreNotFoundError:
        return DEFAULT_EMBEDDER
