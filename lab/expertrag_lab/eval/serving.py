"""The system under test: a pipeline over the corpus of a data set, in process, as served."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.answer.assemble import open_gate, open_generator, reading_of
from expertrag.answer.canonical import RULES
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Passage
from expertrag.config import Config, LabConfig, ModelConfig
from expertrag.llm import prompt
from expertrag.stores.embedders import open_embedder
from expertrag_index.store.index import Index
from expertrag_lab.data.datasets import Dataset
from expertrag_lab.data.types import JSON, Skipped
from expertrag_lab.eval.stores import build_store, read_corpus
from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag.llm.base import Generator
    from expertrag_index.types import Progress
    from expertrag_retriever.base import Embedder


@dataclass(frozen=True, slots=True)
class Opened:
    """A pipeline over one data set.

    ``inputs``, everything that its answers depend on, go into the manifest. ``base_embedder`` is
    the hash of the embedder without experts; ``skipped`` are the documents that could not be read.
    """

    pipeline: Pipeline
    generator: Generator
    index: Index
    skipped: tuple[Skipped, ...]
    inputs: Mapping[str, JSON]
    base_embedder: str = ""

    def passages(self, document_ids: tuple[str, ...]) -> list[Passage]:
        """Return whole documents as passages; ids that the corpus lacks are left out."""
        from expertrag_index.errors import SearchError

        result = []
        for name in document_ids:
            try:
                text = self.index.document_text(name)
            except SearchError:
                continue
            result.append(Passage(name, 0, text, 0, len(text), 1.0))
        return result


@contextmanager
def open_pipeline_for(
    dataset: Dataset, config: Config, work: Path, progress: Progress
) -> Iterator[Opened]:
    """Build or open the store of a data set, or open the store of ``--index``, and load the models.

    The models are kept for the next data set. Of the gate's configuration only the fitted gate is
    used, not the policy: thresholds are applied to the recorded probabilities.

    :raises ExpertRAGError: a model or the store cannot be used; the message says what to do.
    """
    served = Path(config.index) if config.index else None
    if served is None and dataset.questions_only:
        raise InvalidArgument(
            f"{dataset.folder} contains questions without a corpus; name the store that answers "
            "them with --index"
        )
    generator = _generator(
        config.model, config.lab
    )  # first, so that a wrong name fails before embedding
    embedder = _embedder(config.model, served)
    store, skipped = (
        (served, ()) if served else build_store(dataset, embedder, "chunk", work, progress)
    )
    gate = open_gate(config.gate, embedder, generator)
    reading = reading_of(config.model, generator, config.lab)
    pipeline = Pipeline(store, PipelineModels(embedder, generator, reading, gate))
    try:
        with Index.open(store) as index:
            inputs: dict[str, JSON] = {
                "corpus": index.manifest.corpus_hash if served else read_corpus(dataset).sha256,
                "chunker": index.manifest.chunker,
                "embedder": model_inputs(embedder),
                "generator": {
                    **model_inputs(generator),
                    **_settings_of(config.model),
                    **({"probe": reading.probe} if reading.probe else {}),
                },
                "gate": pipeline.info().gate,
                **({"passages": "best first"} if reading.best_first else {}),
                **({"wording": f"canonical {RULES}"} if reading.canonical else {}),
                "prompts": prompt.fingerprint(prompt.FAMILIES[generator.family]),
            }
            base = embedder.fingerprint_of_expert(GENERAL)
            yield Opened(pipeline, generator, index, skipped, inputs, base)
    finally:
        pipeline.close()


@functools.lru_cache(maxsize=1)
def _generator(model: ModelConfig, lab: LabConfig) -> Generator:
    return open_generator(model, lab=lab)


@functools.lru_cache(maxsize=1)
def _embedder(model: ModelConfig, store: Path | None) -> Embedder:
    return open_embedder(model, store)


def model_inputs(model: Generator | Embedder) -> dict[str, JSON]:
    """Identify a model independently of its folder, which differs between machines."""
    return {"name": Path(model.name).name, "fingerprint": model.fingerprint}


def _settings_of(model: ModelConfig) -> dict[str, JSON]:
    """Return the configured precision and device, since answers depend on them.

    ``auto`` is left out: it follows from the machine, which is in the manifest.
    """
    chosen = {"dtype": model.dtype, "device": model.device}
    return {name: value for name, value in chosen.items() if value != "auto"}
