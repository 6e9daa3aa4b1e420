"""Any CrossEncoder of sentence-transformers, of a folder or the hub.

N texts
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag_common.extras import install_command
from expertrag_index.types import FloatArray
from expertrag_retriever.encoder import number_format
from expertrag_retriever.errors import DeviceError, RerankerError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

CURE = "name the folder or the hub id of a sentence-transformers CrossEncoder with one score"


class SentenceTransformerPairs:
    """Wraps a CrossEncoder of one score; the score is its logit, before any activation."""

    def __init__(self, model: CrossEncoder) -> None:
        self._model = model
        self._lock = threading.Lock()  # truncation is mutable state of a tokenizer

    @property
    def device(self) -> str:
        """The kind of device that it runs on."""
        return str(self._model.device.type)

    @property
    def max_tokens(self) -> int:
        """Tokens of a pair that it reads."""
        return int(self._model.max_seq_length or 512)

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each pair, without truncation."""
        with self._lock:
            ids = self._model.tokenizer([query] * len(texts), list(texts), verbose=False)
        return [len(row) for row in ids["input_ids"]]

    def scores(self, query: str, texts: Sequence[str]) -> FloatArray:
        """Return the logits [N] of one batch."""
        import torch

        with torch.inference_mode():
            with self._lock:
                features: dict[str, Any] = self._model.preprocess([(query, text) for text in texts])
            features = {
                name: value.to(self._model.device) if isinstance(value, torch.Tensor) else value
                for name, value in features.items()
            }
            scores = self._model(features)["scores"]  # [N, 1]
        logits: FloatArray = scores.float().reshape(len(texts)).cpu().numpy()
        return logits


def load_pairs(source: str, device: str = "auto") -> SentenceTransformerPairs:
    """Load a CrossEncoder in the number format that is fast on its device.

    :raises DeviceError: the device is not usable here.
    :raises RerankerError: it is missing, damaged, or gives more than one score.
    """
    try:
        import torch
        from sentence_transformers import CrossEncoder

        from expertrag_retriever.quiet import quiet
    except ImportError as error:
        raise RerankerError(f"reranking needs {error.name}: {install_command('server')}") from error

    if not Path(source).expanduser().is_dir() and (
        source.startswith((".", "~")) or os.path.isabs(source)
    ):
        raise RerankerError(f"no reranker folder {source}: {CURE}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {device!r} is not usable here; use 'auto' or 'cpu'") from error
    try:
        with quiet():
            model = CrossEncoder(source, device=device)
            scores = model.num_labels
    # as with embedders, four libraries raise a dozen unrelated types for a damaged file
    except Exception as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise RerankerError(f"cannot load reranker {source} ({first[:200]}): {CURE}") from error
    if scores != 1:
        raise RerankerError(f"reranker {source} gives {scores} scores for a pair: {CURE}")
    model.eval()
    model.to(number_format(model.device.type))
    return SentenceTransformerPairs(model)
