"""Puts a pipeline together from the configuration."""

from __future__ import annotations

from pathlib import Path

from expertrag import models
from expertrag.config import Config
from expertrag.errors import InvalidArgument
from expertrag.generation import load_generator
from expertrag.pipeline import Pipeline
from expertrag.translate import translated_errors
from expertrag_retriever.encoder import load_embedder


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
    model = config.model
    with translated_errors():
        embedder = load_embedder(models.resolve(model.embedder), device=model.device)
    generator = load_generator(
        models.resolve(model.generator), dtype=model.dtype, device=model.device
    )
    return Pipeline(Path(config.index), embedder, generator, gate_threshold=config.gate.threshold)
