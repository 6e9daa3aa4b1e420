"""The encoder with embedding experts, as a module of sentence-transformers.

    model = SentenceTransformer(folder, trust_remote_code=True)   # a folder written by `save`
    model.encode(texts)                                            # the router chooses per text
    model.encode(texts, domain="legal")                            # one expert for all texts

For the forward pass see :class:`WithExperts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer

from expertrag_retriever import nomic_moe
from expertrag_retriever.experts.routed import WithExperts
from expertrag_retriever.experts.settings import ExpertSettings
from expertrag_retriever.experts.storage import load_experts, save_experts
from expertrag_retriever.experts.surgery import base_state


class ExpertTransformer(Transformer, WithExperts):
    """A transformer whose upper feed-forward layers hold domain experts."""

    forward_kwargs: set[str] = {"domain", "allowed"}  # noqa: RUF012 - as the library declares it

    # the library's class comes first: the class of a loaded module is changed to this one
    forward = WithExperts.forward

    def _encode_features(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return dict(Transformer.forward(self, features, **kwargs))

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the unmodified base model, and the experts and the router as separate files."""
        if self.settings is None:
            super().save(output_path, *args, **kwargs)
            return
        self.model.save_pretrained(output_path, state_dict=base_state(self.model))
        self.processor.save_pretrained(output_path)
        self.save_config(output_path)
        save_experts(self.model, self.settings, self.router, Path(output_path))

    @classmethod
    def load(cls, model_name_or_path: str, *args: Any, **kwargs: Any) -> ExpertTransformer:
        """Load a folder written by :meth:`save`; without experts it loads the base model alone."""
        with nomic_moe.loadable():
            module: ExpertTransformer = super().load(model_name_or_path, *args, **kwargs)
        folder = Path(model_name_or_path) / str(kwargs.get("subfolder") or "")
        load_experts(module, folder)
        return module


class OwnCodeOnly(SentenceTransformer):
    """Loads a folder with :class:`ExpertTransformer`, and runs no code that the folder names.

    ``trust_remote_code=True`` would allow that module, and with it all code that any file of the
    folder names (``auto_map``).
    """

    def _load_module_class_from_ref(self, class_ref: str, *args: Any, **options: Any) -> type:
        own: type = ExpertTransformer
        if class_ref == f"{own.__module__}.{own.__qualname__}":
            return own
        return super()._load_module_class_from_ref(class_ref, *args, **options)


def expert_transformer(model: SentenceTransformer) -> ExpertTransformer:
    """Convert the first module of a model to one that can hold experts; nothing else changes."""
    model[0].__class__ = ExpertTransformer
    return cast("ExpertTransformer", model[0])


def with_experts(model: SentenceTransformer, settings: ExpertSettings) -> ExpertTransformer:
    """Add new experts to a loaded model, and return the module that holds them."""
    transformer = expert_transformer(model)
    transformer.add_experts(settings)
    return transformer
