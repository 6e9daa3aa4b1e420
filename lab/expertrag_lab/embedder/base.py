"""The base model of a training: identified once, reloaded for every expert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag_retriever.encoder import load_model, number_format
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.fingerprint import fingerprint_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model: its identity, and where its files are."""

    base: Base
    source: str

    def load(self) -> SentenceTransformer:
        """Load the model in the number format that embedding uses on this machine."""
        model = load_model(self.source)
        model.eval()
        model[0].to(number_format(model.device.type))
        return model


def base_model(source: str, name: str) -> BaseModel:
    """Identify a base model.

    :raises EmbedderError: the model is missing, or already has experts.
    """
    if getattr(load_model(source)[0], "settings", None) is not None:
        raise EmbedderError(f"{name} already has experts; name the model that they were added to")
    return BaseModel(Base(name, fingerprint_of(source)), source)
