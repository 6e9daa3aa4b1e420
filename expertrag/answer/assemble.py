"""Build a pipeline from the configuration."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from expertrag import models
from expertrag.answer.collections import DEFAULT, Collections
from expertrag.answer.gate import check_drafts
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.rerank import ServedReranker, open_served_reranker
from expertrag.answer.served_gate import ServedGate, check_models
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import GateMode
from expertrag.audit import Audit
from expertrag.config import (
    AUTO_EMBEDDER,
    AUTO_GATE,
    AUTO_GENERATOR,
    AUTO_PROBE,
    AUTO_READER,
    CANONICAL,
    NO_PROBE,
    NO_READER,
    TOGETHER,
    Config,
    GateConfig,
    LabConfig,
    ModelConfig,
    adapters_of,
    needs_fitted_gate,
)
from expertrag.llm import load_generator, prompt
from expertrag.runtime.error_mapping import translate_errors
from expertrag.runtime.extensions import load_feature
from expertrag.stores.embedders import embedder_name, open_embedder
from expertrag_index.build.writer import IndexWriter
from expertrag_kernels.cpu_experts import ISAS
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.binding import gate_problem
from expertrag_retriever.gate.bundle import load_gate

if TYPE_CHECKING:
    from expertrag.answer.scope_probe import ScopeProbe
    from expertrag.llm.adapters.loaded import LoadedAdapters
    from expertrag.llm.adapters.served import ServedAdapters
    from expertrag.llm.base import Generator
    from expertrag.llm.confidence import Confidence, ConfidenceOwner
    from expertrag.llm.probe import Probe
    from expertrag_retriever.base import Embedder
    from expertrag_retriever.gate.bundle import GateBundle

AnyProbe = TypeVar("AnyProbe", "Probe", "ScopeProbe")

_log = logging.getLogger(__name__)


class Models:
    """The models of one process, shared by all of its stores. Thread-safe."""

    def __init__(self, config: Config) -> None:
        """Load the language model; an embedder is loaded when a store needs it.

        :raises ExpertRAGError: if a model cannot be used; the message has the fix.
        """
        self._config = config
        self.audit = Audit.of(config.audit)  # first: an invalid path fails before models load
        self._lock = threading.Lock()
        self._embedders: dict[str, Embedder] = {}
        self._generator: Generator | None = None

    def pipeline(self, store: Path) -> Pipeline:
        """Open a store; the caller closes it.

        :raises ExpertRAGError: if it cannot be served with these models.
        """
        config = self._config
        with self._lock:  # one after the other: ``quiet`` lets one thread load at a time
            embedder, generator = self._embedder(store), self._load_generator()
            reading, reranker = self._reading, self._reranker
        _check_domains(generator, embedder)
        gate = open_gate(config.gate, embedder, generator)
        load_embedder = partial(open_embedder, replace(config.model, embedder=AUTO_EMBEDDER), store)
        parts = PipelineModels(embedder, generator, reading, gate, reranker, load_embedder)
        return Pipeline(store, parts, policy=config.gate, audit=self.audit)

    def create_store(self, store: Path) -> None:
        """Create an empty store of the configured embedder."""
        with self._lock:
            embedder = self._embedder(None)
        with IndexWriter.open(store, embedder) as writer:
            writer.build(())

    def adapters(self) -> LoadedAdapters:
        """Return the adapters of the language model.

        :raises InvalidArgument: it does not run on our engine.
        """
        with self._lock:
            return self._load_generator().adapters

    def _embedder(self, store: Path | None) -> Embedder:
        model = self._config.model
        name = embedder_name(model, store)
        if name not in self._embedders:
            self._embedders[name] = open_embedder(model, store)
        return self._embedders[name]

    def _load_generator(self) -> Generator:
        if self._generator is None:
            self._generator = open_generator(
                self._config.model, self._config.gate, self._config.lab
            )
        return self._generator

    @cached_property
    def _reading(self) -> ReadingPolicy:
        return reading_of(self._config.model, self._load_generator(), self._config.lab)

    @cached_property
    def _reranker(self) -> ServedReranker | None:
        return open_served_reranker(self._config.model, self._config.rerank)


def open_pipeline(config: Config) -> Pipeline:
    """Load the models and open the store that ``config`` names; the caller closes it.

    :raises ExpertRAGError: if a model or the store cannot be used; the message has the fix.
    """
    if not config.index:
        raise InvalidArgument(
            "index: is not set; give the folder of a store with --index",
            reason="INVALID_CONFIG",
            metadata={"field": "index"},
        )
    return Models(config).pipeline(Path(config.index))


def open_collections(
    config: Config, stores: Mapping[str, Path], modes: Mapping[str, GateMode] | None = None
) -> Collections:
    """Name the stores of a server; ``default`` is opened, and its models loaded, at once.

    :param stores: other stores by key; see :class:`Collections`, as for ``modes``.
    :raises ExpertRAGError: if a model or the default store cannot be used.
    """
    models = Models(config)
    named = dict(stores)
    if config.index:
        if DEFAULT in named:
            raise InvalidArgument("collection: default is the store of --index; give only one")
        named[DEFAULT] = Path(config.index)
    folder = Path(config.collections.folder) if config.collections.folder else None
    collections = Collections(
        models.pipeline,
        named,
        folder=folder,
        create_store=models.create_store,
        memory_mib=config.collections.memory_mib,
        audit=models.audit,
        adapters=models.adapters,
        modes=modes,
    )
    if collections.has_default:
        with collections.use(DEFAULT):
            pass
    return collections


def open_gate(gate: GateConfig, embedder: Embedder, generator: Generator) -> ServedGate | None:
    """Open the configured fitted gate; None for the training-free one.

    ``auto`` is the shipped gate of the language model, if it was fitted with this embedder.

    :raises ExpertRAGError: if it cannot be used with these models.
    """
    served = None
    if gate.is_named:
        served = _open_gate(gate.bundle, embedder, generator)
    elif gate.bundle == AUTO_GATE and (shipped := models.gate_of(generator.name)):
        try:
            served = _open_gate(shipped, embedder, generator)
        except Conflict as reason:
            _log.warning("using the training-free gate: %s", reason.message)
    if served is None and gate.answer_value_s is not None:
        raise needs_fitted_gate()
    return served


def _open_gate(name: str, embedder: Embedder, generator: Generator) -> ServedGate:
    def check(bundle: GateBundle) -> None:
        # Not the embedder: the store and the gate may since have been migrated to another one.
        check_models(bundle, embedder=bundle.needs.embedder_fingerprint, generator=own)
        check_drafts(bundle, generator)
        problem = "" if of_model else gate_problem(bundle, generator.name, own)
        if problem:
            _log.warning("%s; until then, its probabilities may be of other answers", problem)

    own = generator.fingerprint
    of_model = models.gate_of(generator.name) == name  # shipped for this model
    served = ServedGate(models.gate_folder(name), check)
    base = embedder.fingerprint_of_expert(GENERAL)
    check_models(served.current(), embedder=base, generator=own)
    return served


def open_generator(
    model: ModelConfig, gate: GateConfig | None = None, lab: LabConfig | None = None
) -> Generator:
    """Load the configured language model.

    ``auto`` is the one that the configured gate was fitted on, if any, else the best one that fits
    this machine's memory.

    :raises ExpertRAGError: if it cannot be used; the message has the fix.
    """
    lab = lab or LabConfig()
    name = _auto_generator(model, gate) if model.generator == AUTO_GENERATOR else model.generator
    opened = load_generator(
        models.resolve(name),
        dtype=model.dtype,
        device=model.device,
        cache_mib=model.cache_mib,
        reuse_mib=model.reuse_mib,
        weights_mib=lab.weights_mib,
        adapters=_reader(model.reader, name),
        routing=lab.routing,
    )
    if lab.expert_patterns:
        _use_patterns(opened, models.resolve(name), lab)
    for adapter, folder in adapters_of(model.adapters).items():
        info = opened.adapters.load(adapter, folder)
        _log.info("adapter %s: %s, rank %d", adapter, folder, info.rank)
    _probe(model.probe, opened)
    return opened


def reading_of(
    model: ModelConfig, generator: Generator, lab: LabConfig | None = None
) -> ReadingPolicy:
    """Return how to read questions and replies with an opened language model.

    :param model: the configuration that it was opened with.
    """
    lab = lab or LabConfig()
    reading, shipped = ReadingPolicy.of(generator), model.probe == AUTO_PROBE
    # its doubt is trained: by a probe, or as a reader (which uses the plain prompts)
    trained = reading.reader and generator.family == prompt.PLAIN.name
    return replace(
        reading,
        internal=_internal_probe(generator) if shipped else None,
        scope=_scope_probe(generator) if shipped else None,
        confidence=_confidence(generator) if shipped else None,
        best_first=(bool(reading.probe) or trained) and lab.passages != TOGETHER,
        canonical=lab.wording == CANONICAL,
    )


def _use_patterns(generator: Generator, source: str, lab: LabConfig) -> None:
    """Answer with the configured expert patterns; see :func:`serve_patterns` for what it raises."""
    if (white_box := generator.white_box) is None:
        raise InvalidArgument("lab.expert_patterns: needs a model on our engine, not on a server")
    serve_patterns = load_feature("lab.expert_patterns")
    serve_patterns(white_box, source, Path(lab.expert_patterns), lab.expert_share)


def _check_domains(generator: Generator, embedder: Embedder) -> None:
    """Warn if no question is routed to an expert pattern."""
    routed = {*embedder.experts, GENERAL} if embedder.experts else set()
    if generator.patterns and not routed & {*generator.patterns}:
        _log.warning(
            "the embedder routes questions to %s, and the expert patterns are of %s: only requests "
            "that name one of these domains use a pattern; name the domains of the profile as the "
            "router's",
            ", ".join(sorted(routed)) or "no domain",
            ", ".join(generator.patterns),
        )


def _probe(named: str, generator: Generator) -> None:
    """Attach the configured probe, which predicts whether passages hold the answer.

    ``auto`` is the shipped probe of the generator; with a reader, the reader predicts it instead.

    :raises Conflict: if the named probe belongs to another model.
    :raises InvalidArgument: if the generator has no hidden states.
    """
    folder = models.probe_of(generator.name) if named == AUTO_PROBE else Path(named)
    if named == NO_PROBE or folder is None:
        return
    from expertrag.llm.probe import load_probe

    if (model := generator.white_box) is None:
        raise InvalidArgument(
            "probe: needs hidden states, which a server does not provide; set the probe to none"
        )
    probe = load_probe(folder)
    try:
        model.probe_with(probe)
    except Conflict:
        if named != AUTO_PROBE:
            raise
        _log.info("no probe: the shipped one is for %s as packed, without a reader", generator.name)
    else:
        _log.info("probe %s: predicts whether the passages hold the answer", folder.name)


def _internal_probe(generator: Generator) -> Probe | None:
    """Load the shipped probe of internal questions; None if it belongs to another model."""
    from expertrag.llm.probe import load_probe

    return _load_closed_book_probe(models.internal_probe_of(generator.name), load_probe, generator)


def _scope_probe(generator: Generator) -> ScopeProbe | None:
    """Load the shipped probe of what a question asks; None if it belongs to another model."""
    from expertrag.answer.scope_probe import load_scope_probe

    return _load_closed_book_probe(
        models.scope_probe_of(generator.name), load_scope_probe, generator
    )


def _load_closed_book_probe(
    folder: Path | None, load: Callable[[Path], AnyProbe], generator: Generator
) -> AnyProbe | None:
    """Load a probe of closed-book prompts; None without a folder, or if it is of another model."""
    if folder is None:
        return None
    probe = load(folder)
    own = generator.fingerprint, prompt.fingerprint_closed_book()
    return probe if (probe.owner.fingerprint, probe.owner.prompts) == own else None


def _confidence(generator: Generator) -> Confidence | None:
    """Load the shipped weights of the probability that an answer is right; None if of another."""
    folder = models.confidence_of(generator.name)
    if folder is None:
        return None
    from expertrag.llm.confidence import load_confidence

    confidence = load_confidence(folder)
    own = confidence_owner(generator)
    known = replace(own, generator=confidence.owner.generator)
    return confidence if known == confidence.owner else None


def confidence_owner(generator: Generator) -> ConfidenceOwner:
    """Return what weights of the probability that an answer is right belong to."""
    from expertrag.llm.confidence import ConfidenceOwner

    prompts = prompt.verification_fingerprint(prompt.FAMILIES[generator.family])
    probe = ReadingPolicy.of(generator).probe
    return ConfidenceOwner(generator.name, generator.fingerprint, prompts, probe)


def _reader(named: str, generator: str) -> ServedAdapters | None:
    """Load the configured reader, or the shipped one of the generator; None for none."""
    if named == NO_READER:
        return None
    folder = models.reader_of(generator) if named == AUTO_READER else Path(named)
    if folder is None:
        return None
    from expertrag.llm.adapters.serving import load_adapters

    _log.info("reader %s: runs with %s", folder.name, generator)
    return load_adapters(folder)


def _auto_generator(model: ModelConfig, gate: GateConfig | None) -> str:
    if gate and gate.is_named:
        with translate_errors():
            bundle = load_gate(models.gate_folder(gate.bundle))
        if bundle.needs.generator:
            _log.info("generator %s: required by the gate", bundle.needs.generator)
            return bundle.needs.generator
    choice = models.choose(dtype=model.dtype, device=model.device, kernels=bool(ISAS))
    # warn if a better one could be pulled, so that it shows at any log level
    _log.log(logging.WARNING if choice.cure else logging.INFO, "generator %s", choice.summary)
    return choice.name
