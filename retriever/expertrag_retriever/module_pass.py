"""The forward pass of any sentence-transformers model, in torch.

N texts, L tokens of the longest, D dimensions, E experts
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from expertrag_common.cores import concurrent_batches
from expertrag_index.types import FloatArray

if TYPE_CHECKING:
    from tokenizers import Encoding

    from expertrag_retriever.experts.settings import ExpertSettings


class ForwardPass(Protocol):
    """Computes vectors from tokens. Thread-safe."""

    settings: ExpertSettings | None
    """The experts of the model; None for a model without."""

    @property
    def workers(self) -> int:
        """How many batches run at the same time."""

    def vectors(
        self, encodings: Sequence[Encoding], domains: Sequence[str] | None, prompt_tokens: int
    ) -> FloatArray:
        """Return vectors [N, D] of unit length.

        :param domains: the domain of each text; None lets the router choose.
        :param prompt_tokens: tokens of the prompt at the beginning of each text.
        """

    def posteriors(self, encodings: Sequence[Encoding]) -> FloatArray:
        """Return domain posteriors [N, E + 1] of a model with experts, the last for no domain."""


class ModulePass:
    """Pads a batch, and runs the modules of a model one after the other."""

    def __init__(self, model: Any) -> None:
        """Wrap a loaded model."""
        self._model = model
        self._pad_id = int(model.tokenizer.pad_token_id or 0)
        self._pad_left = model.tokenizer.padding_side == "left"
        self._type_ids = "token_type_ids" in model.tokenizer.model_input_names
        self.settings: ExpertSettings | None = getattr(model[0], "settings", None)

    @property
    def workers(self) -> int:
        """See :func:`concurrent_batches`."""
        return concurrent_batches(self._model.device.type)

    def vectors(
        self, encodings: Sequence[Encoding], domains: Sequence[str] | None, prompt_tokens: int
    ) -> FloatArray:
        """Only the transformer may run in bfloat16, pooling sums in float32."""
        import torch

        features = self._features(encodings, domains)
        if prompt_tokens:
            features["prompt_length"] = prompt_tokens  # for poolings that exclude the prompt
        with torch.inference_mode():
            transformer, *rest = self._model
            features = transformer(features)
            features["token_embeddings"] = features["token_embeddings"].float()  # [N, L, D]
            for module in rest:
                features = module(features)
            pooled = torch.nn.functional.normalize(features["sentence_embedding"], dim=1)
        vectors: FloatArray = pooled.float().cpu().numpy()  # [N, D]
        return vectors

    def posteriors(self, encodings: Sequence[Encoding]) -> FloatArray:
        """Run only the layers below the experts."""
        import torch

        with torch.inference_mode():
            posterior = self._model[0].posterior(self._features(encodings, None))
        rows: FloatArray = posterior.float().cpu().numpy()  # [N, E + 1]
        return rows

    def _features(
        self, encodings: Sequence[Encoding], domains: Sequence[str] | None
    ) -> dict[str, Any]:
        """Pad a batch to its longest text; add the expert indexes if domains are given."""
        import torch

        longest = max(len(encoding) for encoding in encodings)
        ids = torch.full((len(encodings), longest), self._pad_id)  # [N, L]
        mask = torch.zeros_like(ids)  # [N, L]
        for row, encoding in enumerate(encodings):
            length = len(encoding)
            span = slice(longest - length, longest) if self._pad_left else slice(0, length)
            ids[row, span] = torch.tensor(encoding.ids)
            mask[row, span] = 1
        features = {"input_ids": ids, "attention_mask": mask}
        if self._type_ids:
            features["token_type_ids"] = torch.zeros_like(ids)
        if self.settings is not None and domains is not None:
            features["expert_index"] = torch.tensor(self.settings.indexes_of(domains))
        return {key: value.to(self._model.device) for key, value in features.items()}
